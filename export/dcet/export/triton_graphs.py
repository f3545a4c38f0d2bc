"""The graphs for Triton, which keeps the states itself, one set of tensors for each conversation.

The set holds the scene's states, and those of S speakers in slots, with `holders`, which says
whose each slot is. A graph takes the speaker's states out of their slot, runs what the graph of a
bundle runs, and puts the next states back. Speaker n has slot (n - 1) mod S; whoever had it before
is forgotten. A batch is of B conversations, each with one speaker at a time.
"""

from typing import NamedTuple

import onnx
import torch
from torch import Tensor, nn

from dcet.export.folding import fold_norms
from dcet.export.graphs import (
    STATE_OUTPUTS,
    STEP_OUTPUTS,
    TextGraph,
    export_face,
    step_shapes,
    trace,
)
from dcet.runtime.arrays import HOP_SAMPLES, WINDOW_SAMPLES
from dcet.training.network.audio_encoder import VOICE_SHAPE, AudioEncoder, remember, sums
from dcet.training.network.model import (
    SPEAKER_STATES,
    Dcet,
    FusionInputs,
    State,
    Step,
    StepInputs,
    TextEncoder,
    initial_state,
)
from dcet.training.network.speech_detector import SpeechDetector

SLOTS = 8  # speakers of one conversation who are remembered at once
START = "start"


def triton_graphs(model: Dcet, opset: int, ir_version: int) -> dict[str, onnx.ModelProto]:
    """Trace every graph for a batch of any size, `audio` and `step` with slots of speakers."""
    graphs = {"text": _text(model.text, opset, ir_version)}
    if model.audio is not None:
        graphs["audio"] = _audio(model.audio, opset, ir_version)
    if model.face is not None:
        graphs["face"] = export_face(model.face, opset, ir_version)
    if model.speech is not None:
        graphs["speech"] = _speech(model.speech, opset, ir_version)
    graphs["step"] = _step(model.step, opset, ir_version)
    return graphs


def _text(encoder: TextEncoder, opset: int, ir_version: int) -> onnx.ModelProto:
    ids = torch.ones(2, 8, dtype=torch.int32)
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("tokens", min=2)}
    return trace(
        TextGraph(encoder),
        (ids, torch.ones_like(ids)),
        ["input_ids", "attention_mask"],
        ["features"],
        opset,
        ir_version,
        dynamic_shapes=(axes, axes),
    )


def _audio(encoder: AudioEncoder, opset: int, ir_version: int) -> onnx.ModelProto:
    batch, windows = torch.export.Dim("batch", min=1), torch.export.Dim("windows", min=1)
    return trace(
        TritonAudio(fold_norms(encoder)),
        (
            torch.zeros(2, 3, WINDOW_SAMPLES),
            torch.ones(2, 1, dtype=torch.int32),
            torch.zeros(2, 1),
            torch.zeros(2, SLOTS),
            torch.zeros(2, SLOTS, *VOICE_SHAPE),
        ),
        ["pcm", "speaker", START, "holders", "voice"],
        ["features", "next_holders", "next_voice"],
        opset,
        ir_version,
        dynamic_shapes=({0: batch, 1: windows}, *[{0: batch}] * 4),
    )


def _speech(detector: SpeechDetector, opset: int, ir_version: int) -> onnx.ModelProto:
    batch, hops = torch.export.Dim("batch", min=1), torch.export.Dim("hops", min=1)
    graph = trace(
        TritonSpeech(detector),
        (torch.zeros(2, 3 * HOP_SAMPLES),),
        ["pcm"],
        ["speech"],
        opset,
        ir_version,
        dynamic_shapes=({0: batch, 1: HOP_SAMPLES * hops},),
    )
    return graph


def _step(step: Step, opset: int, ir_version: int) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1)
    features = {
        name: torch.ones(2, *shape[1:])
        for name, shape in step_shapes(step.config).items()
        if name in FusionInputs._fields
    }
    states = {
        name: torch.zeros(2, *([SLOTS] if name in SPEAKER_STATES else []), *value.shape[1:])
        for name, value in initial_state(step.config)._asdict().items()
    }
    control = (torch.ones(2, 1, dtype=torch.int32), torch.zeros(2, 1), torch.zeros(2, SLOTS))
    return trace(
        TritonStep(step),
        (*features.values(), *control, *states.values()),
        [*features, "speaker", START, "holders", *states],
        [*STEP_OUTPUTS, "next_holders", *(STATE_OUTPUTS[name] for name in states)],
        opset,
        ir_version,
        dynamic_shapes=(({0: batch},) * (len(features) + 3 + len(states)),),
    )


class Slots(NamedTuple):
    """Whose slots a conversation has, and where the speaker of this turn is."""

    mine: Tensor  # (B, S) true at the speaker's slot
    known: Tensor  # (B, 1) true where the slot is theirs already
    holders: Tensor  # (B, S) afterwards

    @classmethod
    def of(cls, speaker: Tensor, start: Tensor, holders: Tensor) -> "Slots":
        """Find the speaker's slot.

        speaker: (B, 1), int32 from 1
        start: (B, 1), 1 where a conversation begins
        holders: (B, S), 0 where a slot is free
        """
        count = holders.shape[1]
        number = speaker.to(holders.dtype)
        mine = torch.arange(count, dtype=torch.int32) == (speaker - 1) % count
        before = kept(holders, start)
        known = (mine & (before == number)).any(dim=1, keepdim=True)
        return cls(mine, known, torch.where(mine, number, before))

    def take(self, state: Tensor) -> Tensor:
        """Return the speaker's (B, …) of a state (B, S, …), zeros for a newcomer."""
        theirs = torch.where(_over(self.mine & self.known, state), state, torch.zeros_like(state))
        return theirs.sum(dim=1)

    def put(self, state: Tensor, following: Tensor, start: Tensor) -> Tensor:
        """Return (B, S, …) with the speaker's next state (B, …) in its slot; at a start all others
        become zeros."""
        return torch.where(_over(self.mine, state), following[:, None], kept(state, start))


def kept(state: Tensor, start: Tensor) -> Tensor:
    """Return (B, …) with zeros where a conversation begins, whatever the server left there."""
    return torch.where(_over(start > 0, state), torch.zeros_like(state), state)


def _over(flags: Tensor, state: Tensor) -> Tensor:
    """Reshape (B, S or 1) so that it broadcasts over (B, S, …)."""
    return flags.reshape(*flags.shape, *[1] * (state.dim() - 2))


class TritonStep(nn.Module):
    """One turn of each conversation of a batch."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Take the fields of `FusionInputs`, speaker, start and holders, and the fields of `State`,
        those of speakers (B, S, …); return estimates, holders and next states. There are no
        episodes."""
        config, count = self.step.config, len(FusionInputs._fields)
        features = FusionInputs(*tensors[:count])
        speaker, start, holders, *state = tensors[count:]
        slots = Slots.of(speaker, start, holders)
        before = State(
            *(
                slots.take(value) if name in SPEAKER_STATES else kept(value, start)
                for name, value in zip(State._fields, state, strict=True)
            )
        )
        episodes = features.text.new_zeros(features.text.shape[0], config.episodes, config.width)
        inputs = StepInputs(*features, episodes, episodes[..., 0], speaker.to(features.text.dtype))
        results = self.step(inputs, before)
        estimates, following = results[: len(STEP_OUTPUTS)], results[len(STEP_OUTPUTS) :]
        after = [
            slots.put(value, next_value, start) if name in SPEAKER_STATES else next_value
            for name, value, next_value in zip(State._fields, state, following, strict=True)
        ]
        return *estimates, slots.holders, *after


class TritonSpeech(nn.Module):
    """The speech detector for whole turns, each of which begins a stream."""

    def __init__(self, detector: SpeechDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pcm: Tensor) -> Tensor:
        """Return the probability of a voice (B, hops) of pcm (B, hops · 512)."""
        fresh = pcm.new_zeros(pcm.shape[0], self.detector.state_size)
        heard: tuple[Tensor, Tensor] = self.detector(pcm, fresh)
        return heard[0]


class TritonAudio(nn.Module):
    """The audio encoder for one speaker of each conversation of a batch."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, pcm: Tensor, speaker: Tensor, start: Tensor, holders: Tensor, voice: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return features (B, windows, width), holders and next voices of pcm (B, windows, 48000)
        and voice (B, S, 3, 64)."""
        slots = Slots.of(speaker, start, holders)
        before = slots.take(voice)
        batch, windows, _ = pcm.shape
        level = self.encoder.log_mel(pcm.flatten(0, 1))
        features = self.encoder.encode(level, before.repeat_interleave(windows, dim=0))
        sums_now = sums(level).unflatten(0, (batch, windows)).sum(dim=1)
        following = slots.put(voice, remember(before, sums_now), start)
        return features.unflatten(0, (batch, windows)), slots.holders, following
