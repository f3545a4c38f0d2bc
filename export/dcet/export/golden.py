"""Golden sequences: recorded turns and what torch made of them, to replay on every engine."""

import io
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from dcet.export.graphs import STEP_OUTPUTS, step_shapes
from dcet.runtime.demo import scripted_conversation
from dcet.runtime.labels import MODALITIES
from dcet.training.checkpoint import Checkpoint
from dcet.training.model import State, initial_state

STEPS = 30
RESET_EVERY = 10
SPEAKERS = 3

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class GoldenSequences:
    """`inputs` and `expected` are named CASE/TENSOR, as docs/bundle-format.md says."""

    inputs: Arrays
    expected: Arrays
    steps: dict[str, int]  # by case


def record(checkpoint: Checkpoint, seed: int = 0) -> GoldenSequences:
    """Play every case on the torch model.

    Text features are those of real sentences; audio, faces, their lengths and qualities are drawn
    from `seed`.
    """
    sentences = [turn.text for turn in scripted_conversation()]
    encodings = [checkpoint.tokenizer.encode(text) for text in sentences]
    with torch.inference_mode():
        features = [
            checkpoint.model.text(torch.tensor([encoding.ids]), torch.ones(1, len(encoding.ids)))
            for encoding in encodings
        ]
        inputs: Arrays = {}
        expected: Arrays = {}
        for case, (modalities, speakers, reset) in cases().items():
            played = _play(checkpoint, features, modalities, speakers, reset, seed)
            inputs |= {f"{case}/{name}": array for name, array in played.inputs.items()}
            expected |= {f"{case}/{name}": array for name, array in played.expected.items()}
    longest = max(range(len(encodings)), key=lambda i: len(encodings[i].ids))
    inputs["text/input_ids"] = np.array([[encodings[longest].ids]], dtype=np.int32)
    inputs["text/attention_mask"] = np.ones_like(inputs["text/input_ids"])
    expected["text/features"] = features[longest].numpy()[None]
    return GoldenSequences(inputs, expected, {**dict.fromkeys(cases(), STEPS), "text": 1})


def cases() -> dict[str, tuple[tuple[str, ...], int, bool]]:
    """(modalities present, number of speakers, whether memory is reset on the way) of each case."""
    masks = [chosen for size in (1, 2, 3) for chosen in combinations(MODALITIES, size)]
    return {
        "plain": (("text",), 1, False),
        "reset": (("text",), SPEAKERS, True),
        "switch": (("text",), SPEAKERS, False),
        **{f"mask_{'_'.join(mask)}": (mask, SPEAKERS, False) for mask in masks},
    }


@dataclass(frozen=True, slots=True)
class _Played:
    inputs: Arrays
    expected: Arrays


def _play(
    checkpoint: Checkpoint,
    features: list[torch.Tensor],
    modalities: tuple[str, ...],
    speakers: int,
    reset: bool,
    seed: int,
) -> _Played:
    step, config = checkpoint.model.step, checkpoint.model.config
    generator = torch.Generator().manual_seed(seed)
    present = torch.tensor([[float(name in modalities) for name in MODALITIES]])
    fresh = initial_state(config)
    scene, people = fresh[3:], dict.fromkeys(range(1, speakers + 1), fresh[:3])
    recorded: dict[str, list[torch.Tensor]] = {}
    outputs: dict[str, list[torch.Tensor]] = {}
    resets = []
    for number in range(STEPS):
        resets.append(reset and number > 0 and number % RESET_EVERY == 0)
        if resets[-1]:
            scene, people = fresh[3:], dict.fromkeys(people, fresh[:3])
        speaker = 1 + number % speakers
        drawn = {
            name: torch.rand(shape, generator=generator)
            for name, shape in step_shapes(config).items()
        }
        turn = drawn | {
            "text": features[number % len(features)] * present[:, :1],
            "audio": drawn["audio"] * present[0, 1],
            "audio_mask": _prefix(drawn["audio_mask"]) * present[0, 1],
            "face": drawn["face"] * present[0, 2],
            "face_mask": _prefix(drawn["face_mask"]) * present[0, 2],
            "modality_mask": present,
            "episodes": torch.zeros_like(drawn["episodes"]),
            "episodes_mask": torch.zeros_like(drawn["episodes_mask"]),
            "speaker": torch.tensor([[float(speaker)]]),
        }
        results = step(*turn.values(), *State(*people[speaker], *scene))
        following = results[len(STEP_OUTPUTS) :]
        people[speaker], scene = following[:3], following[3:]
        for name, value in turn.items():
            recorded.setdefault(name, []).append(value)
        for name, value in zip(STEP_OUTPUTS, results, strict=False):
            outputs.setdefault(name, []).append(value)
    inputs: Arrays = {name: torch.stack(values).numpy() for name, values in recorded.items()}
    inputs["reset"] = np.array(resets, dtype=np.int32)
    return _Played(inputs, {name: torch.stack(values).numpy() for name, values in outputs.items()})


def _prefix(drawn: torch.Tensor) -> torch.Tensor:
    """A mask (1, n) whose first items are set, at least one."""
    count = 1 + int(drawn[0, 0] * drawn.shape[1])
    return (torch.arange(drawn.shape[1]) < count).float()[None]


def npz(arrays: Arrays) -> bytes:
    """The bytes of an uncompressed npz; a bundle is hashed, so equal arrays must be equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
