"""Features of the sound: a model like wav2vec 2.0, or DCET's own encoder."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dcet.dvcea.layers import hidden_layer
from dcet.dvcea.settings import BuildConfig
from dcet.live.timeline import SECOND_US
from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES, Floats
from dcet.runtime.senses.audio import window_starts
from dcet.training.network.audio_encoder import VOICE_SHAPE, AudioEncoder
from dcet.training.saved import encoder_run
from dcet.training.saved.hub_models import expect_waveforms, hub_model, hub_settings

LEAST_SAMPLES = SAMPLE_RATE_HZ // 10  # of a piece: fewer join the piece before


class EncodedSound(NamedTuple):
    """Features of one sound, and the times of their middles."""

    features: Tensor  # (n, width)
    times_us: Tensor  # (n,) int64


class HubSound:
    """A model of Hugging Face that takes waveforms. Raises ConfigError.

    Its frames are pooled in steps, the same ones as those of the faces. Sounds are encoded one by
    one: padding would change the features of models that normalise over time, as wav2vec2-base
    does, with what was padded.
    """

    licences: Mapping[str, str] = {}

    def __init__(self, config: BuildConfig) -> None:
        name, setting = config.audio_encoder, "audio_encoder"
        self.model = hub_model(name, setting)
        shape, settings = self.model.config, hub_settings(name, setting)
        expect_waveforms(name, setting, shape, settings)
        self.kind: str = shape.model_type
        self.width: int = shape.hidden_size
        self.layer, self.pooling = config.audio_layer, config.audio_pooling
        self.step_us: int | None = config.step_us
        self._normalises = settings.get("do_normalize", True)
        self._piece = config.piece_s * SAMPLE_RATE_HZ
        self._stride = int(np.prod(shape.conv_stride))
        reach = 1
        for kernel, stride in zip(shape.conv_kernel[::-1], shape.conv_stride[::-1], strict=True):
            reach = (reach - 1) * stride + kernel
        self._middle = reach / 2  # of the first frame, in samples
        self._least = max(reach, LEAST_SAMPLES)

    def __call__(self, sounds: Sequence[Floats], device: torch.device) -> list[EncodedSound]:
        """Encode sounds (n,) at 16 kHz, each at least `LEAST_SAMPLES` long."""
        return [self._one(sound, device) for sound in sounds]

    def _one(self, sound: Floats, device: torch.device) -> EncodedSound:
        sound = np.pad(sound, (0, max(0, self._least - len(sound))))
        if self._normalises:
            sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        cuts = [*range(0, max(1, len(sound) - self._least), self._piece), len(sound)]
        frames, times = [], []
        for begin, end in itertools.pairwise(cuts):
            pcm = torch.from_numpy(sound[begin:end])[None].to(device)
            outputs = self.model(pcm, output_hidden_states=True)
            hidden = hidden_layer(outputs, self.layer, "audio_layer")[0].float().cpu()
            middles = begin + self._middle + torch.arange(len(hidden)) * self._stride
            frames.append(hidden)
            times.append((middles * (SECOND_US / SAMPLE_RATE_HZ)).long())
        assert self.step_us is not None
        return _in_steps(torch.cat(frames), torch.cat(times), self.step_us, self.pooling)


class OwnSound:
    """DCET's own audio encoder. Each window of 3 s is one item, at its own middle.

    An utterance is heard as the first one of its speaker. Raises CheckpointError or ConfigError.
    """

    kind, layer, pooling, step_us = "dcet", -1, "mean", None

    def __init__(self, config: BuildConfig) -> None:
        run = encoder_run.find_encoder(config.audio_encoder, "audio")
        assert isinstance(run.model, AudioEncoder)
        self.model, self.licences = run.model.eval(), run.licences
        self.width = run.model.config.width

    def __call__(self, sounds: Sequence[Floats], device: torch.device) -> list[EncodedSound]:
        """Encode sounds (n,) at 16 kHz."""
        made = []
        for sound in sounds:
            windows, middles = _windows(sound)
            voice = torch.zeros(1, *VOICE_SHAPE, device=device)
            features, _ = self.model(torch.from_numpy(windows).to(device), voice)
            times = torch.from_numpy(middles * SECOND_US // SAMPLE_RATE_HZ)
            made.append(EncodedSound(features.float().cpu(), times))
        return made


def _windows(sound: Floats) -> tuple[Floats, np.ndarray]:
    """Cut into windows (n, 48000), evenly spread: with the middles (n,) of what they hold."""
    if len(sound) <= WINDOW_SAMPLES:
        before = (WINDOW_SAMPLES - len(sound)) // 2
        padded = np.pad(sound, (before, WINDOW_SAMPLES - len(sound) - before))
        return padded[None], np.array([len(sound) // 2])
    starts = window_starts(len(sound), WINDOW_SAMPLES)
    windows = np.stack([sound[start : start + WINDOW_SAMPLES] for start in starts])
    return windows, starts + WINDOW_SAMPLES // 2


def _in_steps(frames: Tensor, times_us: Tensor, step_us: int, pooling: str) -> EncodedSound:
    """Pool frames (k, width) whose middles lie in one step."""
    steps, counts = torch.unique_consecutive(times_us // step_us, return_counts=True)
    parts = frames.split(counts.tolist())
    pooled = [part.amax(dim=0) if pooling == "max" else part.mean(dim=0) for part in parts]
    return EncodedSound(torch.stack(pooled), steps * step_us + step_us // 2)
