"""A new student: an encoder of the shape asked for, with its dataset and its dev splits."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from dcet.runtime.errors import ConfigError
from dcet.training.corpora.classes import check_classes
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import MODALITY_OF, folder_of
from dcet.training.corpora.speech import (
    read_noises,
    read_speech,
    read_unacted,
    read_unlabelled,
)
from dcet.training.corpora.unlabelled import read_pictures
from dcet.training.dialogue.temperature import bias_of
from dcet.training.encoders.datasets import FaceDataset, SpeechDataset
from dcet.training.encoders.encoder_config import EncoderConfig
from dcet.training.encoders.soft_votes import with_answers_of
from dcet.training.encoders.students import (
    AudioStudent,
    CheckpointStudent,
    FaceStudent,
    Student,
    TextStudent,
)
from dcet.training.encoders.teacher_protocol import Teacher
from dcet.training.encoders.teachers import CheckpointTeacher, EncoderTeacher, text_encoder_of
from dcet.training.encoders.text_datasets import CorruptedTexts, PlainTexts, read_lines
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.model import TextEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Licensed, without_pooler
from dcet.training.saved.encoder_run import EncoderRun
from dcet.training.saved.smaller_encoder import TextConfig, smaller_encoder
from dcet.training.settings import settings_from

REPEATED = ("ravdess",)  # twice in an epoch: it is a sixth of CREMA-D
CONTINUED = {"encoder": "teacher"}  # a student that begins as its first teacher is
Shape = TypeVar("Shape", AudioConfig, FaceConfig)
Network = TypeVar("Network", AudioEncoder, FaceEncoder)


def new_student(
    config: EncoderConfig,
    shape: Mapping[str, Any],
    teachers: Mapping[str, Teacher],
    begun: EncoderRun | None = None,
) -> Student:
    """Make a student of `teachers`, by their names, or of the labels if there are none.

    It keeps the licences of all it learns from, and of what it is to go on from, `begun`.

    Reads all data that it will be trained and judged on. Raises ConfigError where it cannot be
    made, DataError where the data is wrong.
    """
    for corpus in config.corpora:
        if (modality := MODALITY_OF.get(corpus)) != config.modality:
            raise ConfigError(
                f"--corpus {corpus}: expected one of {config.modality}, got "
                f"{'an unknown one' if modality is None else f'one of {modality}'}"
            )
    sources: list[Licensed] = [*teachers.values()]
    sources += [encoder_run.find_encoder(name, "face") for name in config.votes_from]
    sources += [] if begun is None else [begun]
    licences = checkpoint.joined_licences(sources, config.licences)
    if config.modality == "text":
        return _text_student(config, shape, teachers, licences)
    if config.modality == "audio":
        audio = _begun(AudioEncoder, AudioConfig, shape, teachers)
        return _audio_student(config, audio, teachers, licences)
    return _face_student(config, _begun(FaceEncoder, FaceConfig, shape, teachers), licences)


def _begun(
    kind: Callable[[Shape], Network],
    shape_kind: type[Shape],
    shape: Mapping[str, Any],
    teachers: Mapping[str, Teacher],
) -> Network:
    """Make a network of this shape, or copy the first teacher where it is to be continued."""
    if shape != CONTINUED or not teachers:
        return kind(settings_from(shape_kind, shape, _source_of_shape(teachers)))
    name, first = next(iter(teachers.items()))
    if not isinstance(first, EncoderTeacher):
        raise ConfigError(
            f"--student: encoder: expected a first --teacher of DCET's own to go on from, got "
            f"{name}; give the student a shape instead"
        )
    return cast(Network, copy.deepcopy(first.network))


def _source_of_shape(teachers: Mapping[str, Teacher]) -> str:
    return "--student" if teachers else "--config: shape"


def _text_student(
    config: EncoderConfig,
    shape: Mapping[str, Any],
    teachers: Mapping[str, Teacher],
    licences: Mapping[str, str],
) -> Student:
    text_config = settings_from(TextConfig, shape, _source_of_shape(teachers))
    dataset: CorruptedTexts | PlainTexts
    data = Path(config.data)
    dev = {name: Corpus.of_text(name, data, "dev") for name in config.corpora}
    if config.corpora:
        turns = [t for name in config.corpora for t in Corpus.of_text(name, data, "train").turns]
        texts = [turn.text for turn in turns]
        emotion = torch.tensor([turn.emotion for turn in turns])
        check_classes(emotion, f"{', '.join(config.corpora)}, train")
        dataset = CorruptedTexts(texts, emotion) if teachers else PlainTexts(texts, emotion)
    else:
        texts = read_lines(data)
        dataset = CorruptedTexts(texts)
    if text_config.encoder != "teacher":
        option = "--student: encoder" if teachers else "--text-encoder"
        backbone, tokenizer = checkpoint.pretrained(text_config.encoder, option)
    elif teachers:
        backbone, tokenizer = text_encoder_of(next(iter(teachers)))
    else:
        raise ConfigError("expected --text-encoder, a Hugging Face encoder by id or folder")
    backbone, tokenizer = smaller_encoder(text_config, without_pooler(backbone), tokenizer, texts)
    for teacher in teachers.values():
        if isinstance(teacher, CheckpointTeacher) and teacher.width == backbone.config.hidden_size:
            encoder = TextEncoder(backbone)
            return CheckpointStudent(teacher.loaded, encoder, tokenizer, dataset, dev, licences)
    return TextStudent(TextClassifier(backbone), tokenizer, dataset, dev, licences)


def _audio_student(
    config: EncoderConfig,
    network: AudioEncoder,
    teachers: Mapping[str, Teacher],
    licences: Mapping[str, str],
) -> Student:
    folders = _folders(config)
    waveforms = not all(teacher.ours for teacher in teachers.values())
    if folders:
        corpora = []
        for corpus, folder in folders.items():
            corpora += [read_speech(corpus, folder, "train")] * (1 + (corpus in REPEATED))
        check_classes(
            torch.cat([speech.emotion for speech in corpora]), f"{', '.join(folders)}, train"
        )
    else:
        corpora = [read_unlabelled(Path(config.data))]
    corpora += [read_unacted(Path(folder)) for folder in config.unacted]
    noises = read_noises(Path(config.noises)) if config.noises else None
    if noises is not None:
        corpora.append(noises)
    if waveforms and any(speech.pcm is None for speech in corpora):
        raise ConfigError(
            "--corpus crema_d: it has no waveforms, only log-mels, but a teacher from Hugging Face "
            "takes waveforms; leave the corpus out or choose a teacher of DCET's own"
        )
    dev = {corpus: read_speech(corpus, folder, "dev") for corpus, folder in folders.items()}
    dataset = SpeechDataset(
        corpora,
        mixup=config.mixup,
        waveforms=waveforms,
        labelled=bool(folders),
        noises=None if noises is None else noises.level,
    )
    frames, total, squares = dataset.sums.sum(dim=0)
    network.usual_mean.copy_(total / frames)
    network.usual_square.copy_(squares / frames)
    return AudioStudent(network, dataset, dev, licences)


def _face_student(
    config: EncoderConfig, network: FaceEncoder, licences: Mapping[str, str]
) -> Student:
    folders = _folders(config)
    if folders:
        faces = read_ferplus(folders["ferplus"], "train")
        check_classes(faces.emotion, "ferplus, train")
        votes = with_answers_of(config.votes_from, faces, config.votes_share)
        faces = dataclasses.replace(faces, votes=votes).repeated(config.repeat)
    else:
        faces = read_pictures(Path(config.data))
    dev = {corpus: read_ferplus(folder, "dev") for corpus, folder in folders.items()}
    dataset = FaceDataset(faces, mixup=config.mixup, labelled=bool(folders))
    bias = bias_of(faces.emotion, config.prior_adjustment)
    return FaceStudent(network, dataset, dev, licences, bias)


def _folders(config: EncoderConfig) -> dict[str, Path]:
    return {corpus: folder_of(Path(config.data), corpus) for corpus in config.corpora}
