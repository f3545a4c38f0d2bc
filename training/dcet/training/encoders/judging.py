"""Figures of encoders on single utterances, clips and faces."""

from collections.abc import Collection
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.data.metrics import emotion_metrics
from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import Faces
from dcet.training.corpora.speech import Speech, earlier_voice
from dcet.training.network.audio_encoder import AudioEncoder, encode_levels
from dcet.training.network.face_encoder import FaceEncoder, encode_grey
from dcet.training.network.text_batches import encode_texts
from dcet.training.network.text_classifier import TextClassifier


@torch.inference_mode()
def judge_texts(model: TextClassifier, tokenizer: Tokenizer, corpus: Corpus) -> dict[str, Any]:
    """Judge a text encoder on utterances, each on its own."""
    turns = corpus.turns
    lengths = torch.tensor([len(dialogue.turns) for dialogue in corpus.dialogues])
    model.eval()
    logits = model.head(encode_texts(model, tokenizer, [turn.text for turn in turns]))
    emotion = torch.tensor([turn.emotion for turn in turns])
    dialogue = torch.arange(len(lengths)).repeat_interleave(lengths)
    return emotion_figures(logits, emotion, group=dialogue)


@torch.inference_mode()
def judge_speech(
    model: AudioEncoder, speech: Speech, impossible: Collection[str] = ()
) -> dict[str, Any]:
    """Judge an audio encoder on single clips, but for `impossible` emotions.

    A clip is normalised by earlier clips of the same speaker, never by later ones.
    """
    model.eval()
    features = encode_levels(model, speech.level, earlier_voice(speech))
    return emotion_figures(model.head(features), speech.emotion, impossible, group=speech.speaker)


@torch.inference_mode()
def judge_faces(
    model: FaceEncoder, faces: Faces, impossible: Collection[str] = ()
) -> dict[str, Any]:
    """Judge a face encoder on single faces, but for `impossible` emotions."""
    model.eval()
    logits = model.head(encode_grey(model, faces.grey))
    each = torch.arange(len(faces.emotion))
    return emotion_figures(logits, faces.emotion, impossible, group=each)


def emotion_figures(
    logits: Tensor,
    emotion: Tensor,
    impossible: Collection[str] = (),
    *,
    group: Tensor | None = None,
) -> dict[str, Any]:
    """Return the metrics of (n, 7) logits, on any device, on (n,) labels; with intervals where
    `group` has (n,) numbers of who or what an example is of.

    Emotions that are `impossible` in a corpus are no answer, and examples of them not counted.
    Raises DataError where no example is left.
    """
    excluded = torch.tensor([name in impossible for name in EMOTIONS])
    counted = ~excluded[emotion]
    if not counted.any():
        raise DataError(f"nothing is left to judge without {', '.join(sorted(impossible))}")
    probabilities = logits.cpu()[counted].masked_fill(excluded, -torch.inf).softmax(dim=-1)
    groups = None
    if group is not None:
        groups = group[counted].unique(return_inverse=True)[1].numpy()
    return emotion_metrics(emotion[counted].numpy(), probabilities.numpy(), groups)
