"""Training of the fusion of text, audio and face, on constructed conversations.

What text alone goes through, the text encoder, the memory and the heads, stays as it was trained on
real dialogues: with text alone, the model with three modalities gives exactly what the one with
text gave.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import MODALITIES
from dcet.training.corpora.classes import check_classes
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.speech import read_speech, read_unacted
from dcet.training.device import CPU
from dcet.training.dialogue.batches import Batch, shuffled_chunks
from dcet.training.dialogue.forward import converse, first_turn_logits
from dcet.training.dialogue.objective import Objective
from dcet.training.fusion.clips import Clips, encode_faces, encode_speech, encode_unacted, halves
from dcet.training.fusion.encoded_dialogues import encode_dialogues
from dcet.training.fusion.figures import (
    construct,
    constructed_figures,
    judge_constructed,
)
from dcet.training.fusion.generator import Generator, by_itself
from dcet.training.fusion.outcomes import random_outcomes
from dcet.training.fusion.set_calibration import calibrate_sets
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.model import Dcet, FusionInputs
from dcet.training.network.speech_detector import SpeechDetector
from dcet.training.run.loop import Judgement, Training, train
from dcet.training.run.progress import Progress
from dcet.training.run.run_config import RunConfig
from dcet.training.run.run_folder import check_run
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint, Licensed
from dcet.training.settings import Count, Share, Weight

ALL_SPEECH = ("crema_d", "ravdess")
COMMERCIAL_SPEECH = ("crema_d",)  # RAVDESS is CC BY-NC-SA
NOT_TEXT = (
    "fusion.audio",
    "fusion.face",
    "fusion.listen",
    "fusion.look",
    "fusion.reliability",
    "fusion.opinion",
    "fusion.expected",
    "fusion.direct",
    "fusion.familiarity",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseConfig(RunConfig):
    """The settings of a run of `fuse`. Written into the run as config.json."""

    checkpoint: str  # with a text encoder
    audio: str  # run of `dcet-train encoder` or `distill`, or a checkpoint
    face: str
    detector: str | None = None  # run of `dcet-train speech`; None: the checkpoint's own, if any
    data: str  # folder of meld, ferplus and the corpora of speech
    speech: Sequence[str] = ALL_SPEECH
    epochs: Count = 8
    dialogues_per_batch: Count = 16
    learning_rate: Weight = 1e-3
    label_smoothing: Share = 0.05
    alone: Weight = 0.5
    unacted: Sequence[str] = ()  # folders of talk that nobody acted, so that it is familiar
    by_itself: Weight = 1.0  # of what a voice or a face says alone, against its encoder's own head
    turns_by_itself: Count = 64  # of each, per batch


def fuse(
    config: FuseConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train the fusion; write or resume `run`. Returns its figures on constructed dev dialogues.

    Raises CheckpointError, ConfigError, DataError or WriteError.
    """
    check_run(run, config)
    training = FusionTraining(config, run / "checkpoint", progress, device)
    train(training, config, run, progress, device)
    figures: Mapping[str, Any] = training.notes["figures"]
    return figures


class Constructed(NamedTuple):
    """Constructed conversations, and first turns of one voice or one face."""

    dialogues: Batch
    inputs: FusionInputs
    alone: FusionInputs


class FusionTraining(Training[Constructed]):
    """Training on constructed conversations; the weights of the last epoch are kept.

    Clips, faces and dialogues are encoded once, on `device`.
    """

    def __init__(
        self, config: FuseConfig, kept: Path, progress: Progress, device: torch.device
    ) -> None:
        self.config, self.kept = config, kept
        torch.manual_seed(config.seed)
        self.base = assemble(config)
        self.model = self.base.model.to(device)
        meld = Path(config.data) / "meld"
        splits = Corpus.of_meld(meld, "train"), Corpus.of_meld(meld, "dev")
        progress.advance(0, 1, "encoding the clips and faces of the dev split")
        self.generator, self.dev_generator = generators(self.model, config)
        progress.advance(0, 1, "encoding the dialogues")
        self.dialogues, self.dev = (
            encode_dialogues(self.base, split, config.seed + number)
            for number, split in enumerate(splits)
        )
        check_classes(torch.cat([item.emotion for item in self.dialogues.items]), "meld, train")
        self._learn_the_familiar()
        self.network = self.model.step
        self.objective = Objective(
            self.model.config.width,
            smoothing=config.label_smoothing,
            soft_share=0.0,
            contrast=0.0,
            alone=config.alone,
        )
        self.modules = {"step": self.network, "objective": self.objective}
        self.clipped = all_but_text(self.model)
        self.optimizer = torch.optim.Adam(
            [*self.clipped, *self.objective.parameters()],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        )
        self.batches_per_epoch = math.ceil(len(self.dialogues.items) / config.dialogues_per_batch)
        self.notes = {"figures": {}}

    def batches(self, seed: int) -> Iterator[Constructed]:
        order = torch.Generator().manual_seed(seed)
        size = self.config.dialogues_per_batch
        for chunk in shuffled_chunks(self.dialogues.items, size, order):
            made = construct(self.dialogues, chunk, self.generator, random_outcomes)
            alone, _ = self.generator.alone(self.config.turns_by_itself)
            yield Constructed(*made, alone)

    def loss(self, batch: Constructed) -> Tensor:
        outputs = converse(self.model, batch.dialogues, batch.inputs)
        loss: Tensor = self.objective(outputs, batch.dialogues)
        return loss + self.config.by_itself * self._by_itself(batch.alone)

    def _by_itself(self, inputs: FusionInputs) -> Tensor:
        """Return how far first turns of one voice or one face are from their encoders' heads."""
        answer = log_softmax(first_turn_logits(self.model.step, inputs), dim=-1)
        return kl_div(answer, by_itself(self.model, inputs), reduction="batchmean")

    def _learn_the_familiar(self) -> None:
        """Fit the familiarity of each modality: on one half of the people, with how far away is
        usual from the other half; text on the train split and on dev."""
        fusion = self.model.step.fusion
        assert self.model.audio is not None
        unacted = [
            encode_unacted(self.model.audio, read_unacted(Path(folder)))
            for folder in self.config.unacted
        ]
        for name in ("audio", "face"):
            sides = []
            for place, generator in enumerate((self.generator, self.dev_generator)):
                clips = getattr(generator, name)
                extra = [part[place::2] for part in unacted] if name == "audio" else []
                sides.append(torch.cat([clips.features[clips.kind == 0], *extra]))
            fusion.learn_the_familiar(name, *sides)
        texts = (torch.cat([part[0] for part in d.features]) for d in (self.dialogues, self.dev))
        fusion.learn_the_familiar("text", *texts)

    def judge(self, epoch: int) -> Judgement:
        f1 = float(judge_constructed(self.model, self.dev, self.dev_generator)[0]["weighted_f1"])
        if epoch + 1 == self.config.epochs:
            calibrate_sets(self.model, self.dev, self.generator)
            figures = constructed_figures(self.model, self.dev, self.dev_generator)
            metrics = {**self.base.metrics, "constructed": figures}
            made = dataclasses.replace(self.base, metrics=metrics, trained=MODALITIES)
            checkpoint.save(self.kept, made)
            self.notes["figures"] = figures
        return Judgement({"all": f1}, f"constructed weighted_f1 {f1:.4f}")


def assemble(config: FuseConfig) -> Checkpoint:
    """Put the audio and the face encoder into the checkpoint with the text encoder."""
    base = checkpoint.load(config.checkpoint)
    audio_run = encoder_run.find_encoder(config.audio, "audio")
    face_run = encoder_run.find_encoder(config.face, "face")
    audio, face = audio_run.model, face_run.model
    assert isinstance(audio, AudioEncoder)
    assert isinstance(face, FaceEncoder)
    parts: dict[str, Licensed] = {"--checkpoint": base, "--audio": audio_run, "--face": face_run}
    detector = base.model.speech
    if config.detector is not None:
        heard = encoder_run.find_encoder(config.detector, "speech")
        assert isinstance(heard.model, SpeechDetector)
        detector, parts["--speech"] = heard.model, heard
    if tuple(config.speech) == COMMERCIAL_SPEECH:
        _expect_commercial({option: part.licences for option, part in parts.items()})
    shape = dataclasses.replace(
        base.model.config, audio_width=audio.config.width, face_width=face.config.width
    )
    model = Dcet(shape, base.model.text.backbone, audio, face, detector)
    kept = {
        name: value
        for name, value in base.model.step.state_dict().items()
        if not name.startswith(NOT_TEXT)
    }
    model.step.load_state_dict(kept, strict=False)
    for name, encoder in (("audio", audio), ("face", face)):
        model.step.fusion.direct[name].load_state_dict(encoder.head.state_dict())
    return dataclasses.replace(
        base,
        model=model,
        licences=checkpoint.joined_licences(parts.values(), {}),
        metrics={**base.metrics, "audio": audio_run.metrics, "face": face_run.metrics},
    )


def _expect_commercial(licences: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ConfigError where a part, by its option, may not be used commercially, or may be so."""
    for option, known in licences.items():
        if not known:
            raise ConfigError(
                f"--commercial: {option}: expected the licences of what it learned from, got none; "
                "train it with --licence NAME=LICENCE for each corpus and encoder"
            )
        if barred := [name for name, licence in known.items() if "-NC" in licence]:
            raise ConfigError(
                f"--commercial: {option}: {', '.join(barred)} may not be used commercially; "
                "train it without"
            )


def all_but_text(model: Dcet) -> list[nn.Parameter]:
    """Freeze everything that text alone goes through; return the other parameters."""
    fusion = model.step.fusion
    model.requires_grad_(False)
    trained = [
        parameter
        for name, part in fusion.named_children()
        if f"fusion.{name}" in NOT_TEXT
        for parameter in part.parameters()
    ]
    trained += [fusion.question, fusion.trust_in_quality, fusion.kind]
    for parameter in trained:
        parameter.requires_grad_(True)
    fusion.kind.register_hook(_without_text)
    return trained


def _without_text(gradient: Tensor) -> Tensor:
    """Return the gradient of `Fusion.kind` with none for text, the first of the modalities."""
    others = gradient.clone()
    others[0] = 0
    return others


def generators(model: Dcet, config: FuseConfig) -> tuple[Generator, Generator]:
    """Make a generator of one half of the people of the dev splits, and one of the other."""
    assert model.audio is not None
    assert model.face is not None
    folder = Path(config.data)
    faces = read_ferplus(folder / "ferplus", "dev")
    sides: tuple[list[Clips], list[Clips]] = ([], [])
    for corpus in config.speech:
        parts = halves(read_speech(corpus, folder / corpus, "dev"))
        for side, part in zip(sides, parts, strict=True):
            side.append(encode_speech(model.audio, part))
    places = torch.arange(len(faces)) % 2
    made = []
    for number, side in enumerate(sides):
        audio = side[0]
        for clips in side[1:]:
            audio = audio + clips
        face = encode_faces(model.face, faces.only(places == number))
        made.append(Generator(audio, face, model.config))
    return made[0], made[1]
