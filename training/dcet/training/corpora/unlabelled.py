"""Unlabelled pictures, whose labels are a teacher's probabilities."""

from pathlib import Path

import torch

from dcet.data.media import read_picture
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.sounds import files_in
from dcet.training.network.face_encoder import to_grey

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def read_pictures(folder: Path) -> Faces:
    """Read every picture as one face. Raises DataError."""
    grey = []
    for file in files_in(folder, PICTURES):
        picture = read_picture(file)
        grey.append(to_grey(torch.from_numpy(picture)[None]).round().byte())
    unknown = torch.zeros(len(grey), dtype=torch.long)
    return Faces(torch.cat(grey), unknown, torch.zeros(len(grey), len(EMOTIONS)))
