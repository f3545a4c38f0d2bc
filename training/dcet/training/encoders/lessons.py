"""Who learns what: a new encoder of the shape asked for, with its material and its dev splits."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import torch

from dcet.runtime.errors import ConfigError
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import MODALITY_OF, folder_of
from dcet.training.corpora.speech import read_speech
from dcet.training.corpora.unlabelled import read_pictures, read_sounds
from dcet.training.encoders.material import FaceMaterial, SpeechMaterial
from dcet.training.encoders.pupils import Pupil, SensePupil, StandIn, TextPupil
from dcet.training.encoders.smaller_encoder import TextConfig, smaller_encoder
from dcet.training.encoders.teacher_protocol import Teacher
from dcet.training.encoders.teachers import CheckpointTeacher, EncoderTeacher, text_encoder_of
from dcet.training.encoders.text_material import PlainTexts, TextMaterial, read_lines
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.model import TextEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import without_pooler

HEARD_TWICE = ("ravdess",)  # an epoch has it twice: it is a sixth of CREMA-D
CONTINUED = {"encoder": "teacher"}  # a student that hears or looks begins as its first teacher is
Shape = TypeVar("Shape")
Network = TypeVar("Network", AudioEncoder, FaceEncoder)


class Lesson(Protocol):
    """What decides a pupil: part of a run's configuration."""

    @property
    def modality(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def corpora(self) -> Sequence[str]: ...
    @property
    def mixup(self) -> float: ...
    @property
    def licences(self) -> Mapping[str, str]: ...


def pupil_of(lesson: Lesson, shape: Mapping[str, Any], teachers: Mapping[str, Teacher]) -> Pupil:
    """A new encoder that learns from `teachers`, by their names, or from labels if there are none.

    Raises ConfigError where it cannot be made, DataError where data is wrong.
    """
    for corpus in lesson.corpora:
        if MODALITY_OF[corpus] != lesson.modality:
            raise ConfigError(
                f"--corpus {corpus}: expected one of {lesson.modality}, "
                f"got one of {MODALITY_OF[corpus]}"
            )
    licences = {
        name: licence for teacher in teachers.values() for name, licence in teacher.licences.items()
    } | dict(lesson.licences)
    if lesson.modality == "text":
        return _reader(lesson, _filled(TextConfig, shape), teachers, licences)
    if lesson.modality == "audio":
        network = _begun(AudioEncoder, AudioConfig, shape, teachers)
        return _listener(lesson, network, teachers, licences)
    return _viewer(lesson, _begun(FaceEncoder, FaceConfig, shape, teachers), licences)


def _begun(
    kind: Callable[[Shape], Network],
    config: type[Shape],
    shape: Mapping[str, Any],
    teachers: Mapping[str, Teacher],
) -> Network:
    """A network of this shape; or the first teacher's, to go on from, where it is to be that."""
    if shape != CONTINUED or not teachers:
        return kind(_filled(config, shape))
    name, first = next(iter(teachers.items()))
    if not isinstance(first, EncoderTeacher):
        raise ConfigError(
            f"--student: encoder: expected a first --teacher of DCET's own to go on from, got "
            f"{name}; give the student a shape instead"
        )
    return cast(Network, copy.deepcopy(first.run.model))


def _reader(
    lesson: Lesson,
    config: TextConfig,
    teachers: Mapping[str, Teacher],
    licences: Mapping[str, str],
) -> Pupil:
    material: TextMaterial | PlainTexts
    dev = None
    if lesson.corpora:
        folder = folder_of(Path(lesson.data), "meld")
        turns = [turn for d in Corpus.of_meld(folder, "train").dialogues for turn in d.turns]
        texts = [turn.text for turn in turns]
        emotion = torch.tensor([turn.emotion for turn in turns])
        material = TextMaterial(texts, emotion) if teachers else PlainTexts(texts, emotion)
        dev = Corpus.of_meld(folder, "dev")
    else:
        texts = read_lines(Path(lesson.data))
        material = TextMaterial(texts)
    if config.encoder == "teacher" and teachers:
        backbone, tokenizer = text_encoder_of(next(iter(teachers)))
    else:
        backbone, tokenizer = checkpoint.pretrained(config.encoder, "--text-encoder")
    backbone, tokenizer = smaller_encoder(config, without_pooler(backbone), tokenizer, texts)
    for teacher in teachers.values():
        if isinstance(teacher, CheckpointTeacher) and teacher.width == backbone.config.hidden_size:
            encoder = TextEncoder(backbone)
            return StandIn(teacher.loaded, encoder, tokenizer, material, dev, licences)
    return TextPupil(TextClassifier(backbone), tokenizer, material, dev, licences)


def _listener(
    lesson: Lesson,
    network: AudioEncoder,
    teachers: Mapping[str, Teacher],
    licences: Mapping[str, str],
) -> Pupil:
    folders = _folders(lesson)
    waveforms = not all(teacher.ours for teacher in teachers.values())
    if folders:
        corpora = []
        for corpus, folder in folders.items():
            corpora += [read_speech(corpus, folder, "train")] * (1 + (corpus in HEARD_TWICE))
    else:
        corpora = [read_sounds(Path(lesson.data))]
    if waveforms and any(speech.pcm is None for speech in corpora):
        raise ConfigError(
            "--corpus crema_d: it has no sound, only log-mels, but a teacher from Hugging Face "
            "listens to sound; leave the corpus out or choose a teacher of DCET's own"
        )
    material = SpeechMaterial(
        corpora, mixup=lesson.mixup, waveforms=waveforms, labelled=bool(folders)
    )
    frames, total, squares = material.sums.sum(dim=0)
    network.usual_mean.copy_(total / frames)
    network.usual_square.copy_(squares / frames)
    return SensePupil(network, material, folders, licences)


def _viewer(lesson: Lesson, network: FaceEncoder, licences: Mapping[str, str]) -> Pupil:
    folders = _folders(lesson)
    if folders:
        faces = read_ferplus(folders["ferplus"], "train")
    else:
        faces = read_pictures(Path(lesson.data))
    material = FaceMaterial(faces, mixup=lesson.mixup, labelled=bool(folders))
    return SensePupil(network, material, folders, licences)


def _folders(lesson: Lesson) -> dict[str, Path]:
    return {corpus: folder_of(Path(lesson.data), corpus) for corpus in lesson.corpora}


def _filled(kind: type[Shape], shape: Mapping[str, Any]) -> Shape:
    """A configuration of this kind. Raises ConfigError where it has no such field."""
    try:
        return kind(**shape)
    except TypeError as error:
        raise ConfigError(f"the encoder's shape: {error}") from error
