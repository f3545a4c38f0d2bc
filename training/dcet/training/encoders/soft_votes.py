"""What encoders say of faces, beside the crowd's votes.

They see each face as it is and mirrored; whoever learns from it sees it corrupted (Noisy Student,
Xie et al., CVPR 2020). What a few people voted for is noisy, and says less of a face than they saw.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dcet.training.corpora.faces import Faces
from dcet.training.network.face_encoder import FaceEncoder, encode_grey
from dcet.training.saved import encoder_run


@torch.inference_mode()
def with_answers_of(encoders: Mapping[str, float], faces: Faces, share: float) -> Tensor:
    """Return the votes (n, 7), in which the mean answer of the encoders has this `share`.

    encoders: temperatures by the name of a run or a checkpoint; with none, the votes stay

    Raises CheckpointError or ConfigError.
    """
    if not encoders:
        return faces.votes
    answers = []
    for name, temperature in encoders.items():
        model = encoder_run.find_encoder(name, "face").model
        assert isinstance(model, FaceEncoder)
        for grey in (faces.grey, faces.grey.flip(2)):
            logits = model.head(encode_grey(model, grey))
            answers.append((logits / temperature).softmax(dim=-1))
    return (1 - share) * faces.votes + share * torch.stack(answers).mean(dim=0)
