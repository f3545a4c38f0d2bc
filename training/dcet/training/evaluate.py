"""The figures of a checkpoint or an encoder on a corpus."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from dcet.runtime.errors import ConfigError
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import MODALITY_OF, NEVER_THERE, folder_of
from dcet.training.corpora.speech import read_speech
from dcet.training.device import CPU
from dcet.training.encoders.judging import judge_faces, judge_speech
from dcet.training.evaluate_text import evaluate_text
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.saved import encoder_run


def evaluate(
    name: str,
    corpus: str,
    data: Path,
    *,
    split: str = "dev",
    left_out: Collection[str] = (),
    reset_memory: bool = False,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Return the figures of one of SHIPPED, a checkpoint or a run on a split of a corpus.

    `data` is the corpus's folder or the one that holds it; of MELD, a CSV file too. Raises
    CheckpointError, ConfigError or DataError.
    """
    modality = MODALITY_OF[corpus]
    if modality != "text":
        if reset_memory:
            raise ConfigError(f"--reset-memory: {corpus} has no conversations to remember")
        model = encoder_run.find_encoder(name, modality).model.to(device)
        assert isinstance(model, AudioEncoder | FaceEncoder)
        return evaluate_encoder(model, corpus, folder_of(data, corpus), split, left_out=left_out)
    if left_out:
        raise ConfigError("--leave-out: conversations are judged on all seven emotions")
    return evaluate_text(name, corpus, data, split, device, remember=not reset_memory)


def evaluate_encoder(
    model: AudioEncoder | FaceEncoder,
    corpus: str,
    folder: Path,
    split: str,
    *,
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Return figures on single clips or faces of `corpus`, which lies in `folder`.

    Emotions that the corpus does not have, and those `left_out`, are no possible answer; clips and
    faces of an emotion that is left out are not counted.
    """
    impossible = {*NEVER_THERE.get(corpus, ()), *left_out}
    if isinstance(model, AudioEncoder):
        return judge_speech(model, read_speech(corpus, folder, split), impossible)
    return judge_faces(model, read_ferplus(folder, split), impossible)
