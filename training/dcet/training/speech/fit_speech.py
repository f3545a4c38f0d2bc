"""Training of the speech detector from the labels of a teacher, on mixtures that never repeat."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dcet.runtime.arrays import HOP_SAMPLES, Floats
from dcet.training.device import CPU, device_of
from dcet.training.network.speech_detector import SpeechConfig, SpeechDetector
from dcet.training.run.loop import Judgement, Training, train
from dcet.training.run.parameter_groups import decayed_matrices
from dcet.training.run.progress import Progress
from dcet.training.run.run_config import RunConfig
from dcet.training.run.run_folder import check_run
from dcet.training.saved import encoder_run
from dcet.training.saved.encoder_run import EncoderRun
from dcet.training.settings import Count, Share, Weight, settings_from
from dcet.training.speech.judging import judge
from dcet.training.speech.mixing import draw
from dcet.training.speech.recordings import read_recordings
from dcet.training.speech.silero import Silero

JUDGE_EVERY = 6  # epochs


class Batch(NamedTuple):
    """Mixtures, and where a voice sounds in them."""

    pcm: Tensor  # (N, hops * 512)
    voice: Tensor  # (N, hops), NaN where it is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSpeechConfig(RunConfig):
    """The settings of a run of `speech`. Written into the run as config.json."""

    teacher: str  # Silero's ONNX file
    data: str  # folder of ami, ravdess, emogator and noise_rooms
    shape: Mapping[str, Any] = field(default_factory=dict)  # of SpeechConfig
    epochs: Count = 18
    examples: Count = 2400  # in an epoch
    hops: Count = 125  # of an example: 4 s
    batch: Count = 32
    learning_rate: Weight = 3e-3
    weight_decay: Weight = 0.01
    warmup: Share = 0.05
    average: Share = 0.995
    licences: Mapping[str, str] = field(default_factory=dict)


def fit_speech(
    config: FitSpeechConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train the detector; write or resume `run`. Returns its dev figures beside its teacher's.

    Raises ConfigError, DataError or WriteError.
    """
    check_run(run, config)
    torch.manual_seed(config.seed)
    detector = SpeechDetector(settings_from(SpeechConfig, config.shape, "--config"))
    training = SpeechTraining(config, detector, run / "checkpoint", progress)
    train(training, config, run, progress, device)
    figures: Mapping[str, Any] = training.notes["figures"]
    return figures


class SpeechTraining(Training[Batch]):
    """Binary cross-entropy with the teacher's probabilities; what is judged last is kept."""

    def __init__(
        self, config: FitSpeechConfig, detector: SpeechDetector, kept: Path, progress: Progress
    ) -> None:
        self.config, self.detector, self.kept = config, detector, kept
        self.network = detector
        self.modules = {"network": detector}
        groups = decayed_matrices([detector], config.learning_rate, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups)
        self.clipped = list(detector.parameters())
        self.batches_per_epoch = max(1, config.examples // config.batch)
        self.judge_every = JUDGE_EVERY
        self.notes = {"figures": {}}
        self.teacher = Silero(Path(config.teacher))
        progress.say("labelling the recordings")
        self.recordings, self.held_out = (
            read_recordings(Path(config.data), self.teacher, split) for split in ("train", "dev")
        )

    def batches(self, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        for _ in range(self.batches_per_epoch):
            drawn = [draw(self.recordings, self.config.hops, rng) for _ in range(self.config.batch)]
            pcm, voice = (
                torch.from_numpy(np.stack(part))
                for part in ([sound.pcm for sound in drawn], [sound.voice for sound in drawn])
            )
            yield Batch(pcm, voice)

    def loss(self, batch: Batch) -> Tensor:
        fresh = batch.pcm.new_zeros(len(batch.pcm), self.detector.state_size)
        logits, _ = self.detector.hear(batch.pcm, fresh)
        known = ~batch.voice.isnan()
        return binary_cross_entropy_with_logits(logits[known], batch.voice[known])

    def judge(self, epoch: int) -> Judgement:
        shape = self.detector.config
        detectors = {"detector": self._detect, "teacher": self.teacher.probabilities}
        before = self.notes["figures"]
        if "teacher" in before:  # whose figures stay
            del detectors["teacher"]
        data = Path(self.config.data)
        found = judge(detectors, data, self.held_out, shape.threshold, shape.least_ms)
        figures = {**before, **found}
        run = EncoderRun(
            model=self.detector, tokenizer=None, metrics=figures, licences=self.config.licences
        )
        encoder_run.save(self.kept, run)
        self.notes["figures"] = figures
        summary = " ".join(f"{name} {value:.3f}" for name, value in figures["detector"].items())
        return Judgement({"dev": figures["detector"]}, summary)

    @torch.inference_mode()
    def _detect(self, pcm: Floats) -> Floats:
        hops = torch.from_numpy(pcm[: len(pcm) // HOP_SAMPLES * HOP_SAMPLES])[None]
        hops = hops.to(device_of(self.detector))
        heard, _ = self.detector(hops, hops.new_zeros(1, self.detector.state_size))
        probabilities: Floats = heard[0].cpu().numpy()
        return probabilities
