"""Golden sequences: recorded turns and what torch made of them, to replay on every engine."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from dcet.demo import scripted_conversation
from dcet.export.graphs import STEP_OUTPUTS
from dcet.runtime.arrays import HOP_SAMPLES
from dcet.runtime.labels import MODALITIES
from dcet.synthetic.probes import faces, speech_windows
from dcet.training.network.audio_encoder import VOICE_SHAPE, AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.model import (
    SPEAKER_STATES,
    ModelConfig,
    State,
    Step,
    StepInputs,
    TextEncoder,
    initial_state,
)
from dcet.training.network.speech_detector import SpeechDetector
from dcet.training.saved.checkpoint import Checkpoint

STEPS = 30
RESET_EVERY = 10
SPEAKERS = 3
CALLS, WINDOWS = 3, 2  # of the audio encoder, and in each of them
HOPS = 40  # in each call of the speech detector
PICTURES = (2, 4, 96, 64)  # calls of the face encoder, and in each of them faces, rows and columns
STAND_INS = 8  # random vectors for features of a modality that has no encoder

Arrays = dict[str, NDArray[np.generic]]
Features = dict[str, torch.Tensor]  # by modality, (n, width) to choose from


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: several wait for each other in a step, 10 s instead of 1.6."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class GoldenSequence:
    """One case: what went in and what torch made of it, each (steps, …)."""

    inputs: Arrays
    expected: Arrays

    @property
    def steps(self) -> int:
        return len(next(iter(self.inputs.values())))


def record(checkpoint: Checkpoint, seed: int = 0) -> dict[str, GoldenSequence]:
    """Play every case on the torch model: one of each encoder, then those of the step.

    Texts are real sentences. Audio and faces are synthetic, made from `seed`, as are the lengths
    and qualities of the sequences.
    """
    model = checkpoint.model
    with torch.inference_mode(), _one_thread():
        played = {"text": _encode_text(model.text, checkpoint.tokenizer)}
        if model.audio is not None:
            played["audio"] = _encode_audio(model.audio, seed)
        if model.face is not None:
            played["face"] = _encode_faces(model.face, seed)
        if model.speech is not None:
            played["speech"] = _hear(model.speech, seed)
        generator = torch.Generator().manual_seed(seed)
        widths = (model.config.text_width, model.config.audio_width, model.config.face_width)
        features = {
            name: (
                torch.from_numpy(played[name].expected["features"]).reshape(-1, width)
                if name in played
                else torch.rand(STAND_INS, width, generator=generator)
            )
            for name, width in zip(MODALITIES, widths, strict=True)
        }
        for case, (modalities, speakers, reset) in cases().items():
            sequence = _play(model.step, features, modalities, speakers, reset, seed)
            for name in MODALITIES:
                if name not in played:  # the features are stand-ins, no rows of an encoder
                    del sequence.inputs[f"{name}_rows"]
            played[case] = sequence
    return played


def _encode_text(encoder: TextEncoder, tokenizer: Tokenizer) -> GoldenSequence:
    """Encode the sentences of the demo, padded to the longest."""
    encodings = [tokenizer.encode(turn.text) for turn in scripted_conversation()]
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = np.zeros((len(encodings), 1, longest), np.int32)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, 0, : len(encoding.ids)] = encoding.ids
        mask[row, 0, : len(encoding.ids)] = 1
    features = [
        encoder(torch.from_numpy(a), torch.from_numpy(b)).numpy()
        for a, b in zip(ids, mask, strict=True)
    ]
    return GoldenSequence(
        {"input_ids": ids, "attention_mask": mask}, {"features": np.stack(features)}
    )


def _encode_audio(encoder: AudioEncoder, seed: int) -> GoldenSequence:
    """Encode one speaker's turns, the voice carried from each to the next."""
    pcm = speech_windows(CALLS * WINDOWS, seed).reshape(CALLS, WINDOWS, -1)
    voice = torch.zeros(1, *VOICE_SHAPE)
    made = []
    for windows in pcm:
        features, voice = encoder(torch.from_numpy(windows), voice)
        made.append(features)
    return GoldenSequence({"pcm": pcm}, {"features": torch.stack(made).numpy()})


def _hear(detector: SpeechDetector, seed: int) -> GoldenSequence:
    """Hear one stream, the state carried from each call to the next."""
    pcm = speech_windows(CALLS, seed)[:, None, : HOPS * HOP_SAMPLES]
    state = torch.zeros(1, detector.state_size)
    made = []
    for hops in pcm:
        voice, state = detector(torch.from_numpy(hops), state)
        made.append(voice)
    return GoldenSequence({"pcm": pcm}, {"speech": torch.stack(made).numpy()})


def _encode_faces(encoder: FaceEncoder, seed: int) -> GoldenSequence:
    calls, count, height, width = PICTURES
    pixels = faces(calls * count, height, width, seed).reshape(*PICTURES, 3)
    made = [encoder(torch.from_numpy(pictures)) for pictures in pixels]
    return GoldenSequence({"pixels": pixels}, {"features": torch.stack(made).numpy()})


def cases() -> dict[str, tuple[tuple[str, ...], int, bool]]:
    """Return of each case the modalities present, the number of speakers, and whether the memory is
    reset on the way."""
    masks = [chosen for size in (1, 2, 3) for chosen in combinations(MODALITIES, size)]
    return {
        "plain": (("text",), 1, False),
        "reset": (("text",), SPEAKERS, True),
        "switch": (("text",), SPEAKERS, False),
        **{f"mask_{'_'.join(mask)}": (mask, SPEAKERS, False) for mask in masks},
    }


def _play(
    step: Step,
    features: Features,
    modalities: tuple[str, ...],
    speakers: int,
    reset: bool,
    seed: int,
) -> GoldenSequence:
    config = step.config
    generator = torch.Generator().manual_seed(seed)
    present = torch.tensor([[float(name in modalities) for name in MODALITIES]])
    fresh, count = initial_state(config), len(SPEAKER_STATES)
    scene, people = fresh[count:], dict.fromkeys(range(1, speakers + 1), fresh[:count])
    recorded: dict[str, list[torch.Tensor]] = {}
    outputs: dict[str, list[torch.Tensor]] = {}
    resets = []
    for number in range(STEPS):
        resets.append(reset and number > 0 and number % RESET_EVERY == 0)
        if resets[-1]:
            scene, people = fresh[count:], dict.fromkeys(people, fresh[:count])
        speaker = 1 + number % speakers
        turn, rows = _turn(config, features, number, present, generator)
        turn["speaker"] = torch.tensor([[float(speaker)]])
        results = step(StepInputs(**turn), State(*people[speaker], *scene))
        following = results[len(STEP_OUTPUTS) :]
        people[speaker], scene = following[:count], following[count:]
        for name, value in (turn | rows).items():
            recorded.setdefault(name, []).append(value)
        for name, value in zip(STEP_OUTPUTS, results, strict=False):
            outputs.setdefault(name, []).append(value)
    inputs: Arrays = {name: torch.stack(values).numpy() for name, values in recorded.items()}
    inputs["reset"] = np.array(resets, dtype=np.int32)
    return GoldenSequence(
        inputs, {name: torch.stack(values).numpy() for name, values in outputs.items()}
    )


def _turn(
    config: ModelConfig,
    features: Features,
    number: int,
    present: torch.Tensor,
    generator: torch.Generator,
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the inputs of the step but for the speaker and the states, and which rows of
    `features` they are, (1,) of text and (length,) of a sequence, -1 where there is nothing."""
    rows = {
        "text": torch.tensor([number % len(features["text"])]),
        "audio": _drawn(len(features["audio"]), config.audio_length, generator),
        "face": _drawn(len(features["face"]), config.face_length, generator),
    }
    rows = {
        name: torch.where(present[0, place] > 0, drawn, -1).int()
        for place, (name, drawn) in enumerate(rows.items())
    }
    taken = {name: features[name][drawn] * (drawn >= 0)[..., None] for name, drawn in rows.items()}
    quality = torch.rand(present.shape, generator=generator)
    turn = {
        "text": taken["text"],
        "audio": taken["audio"][None],
        "audio_mask": (rows["audio"] >= 0).float()[None],
        "face": taken["face"][None],
        "face_mask": (rows["face"] >= 0).float()[None],
        "modality_mask": present,
        "quality": torch.where(present > 0, quality, 1.0),
        "episodes": torch.zeros(1, config.episodes, config.width),
        "episodes_mask": torch.zeros(1, config.episodes),
    }
    return turn, {f"{name}_rows": drawn for name, drawn in rows.items()}


def _drawn(rows: int, length: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (length,) places of rows, -1 behind the end of the sequence."""
    count = int(torch.randint(1, length + 1, (), generator=generator))
    chosen = torch.randint(rows, (length,), generator=generator)
    return torch.where(torch.arange(length) < count, chosen, -1)


def npz(arrays: Mapping[str, Arrays]) -> bytes:
    """Return the bytes of an npz of arrays named CASE/TENSOR. Compressed, it is a quarter as large:
    much of it is zeros.

    A bundle is hashed, so equal arrays must be equal bytes.
    """
    named = {f"{case}/{name}": a for case, part in arrays.items() for name, a in part.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **named)  # type: ignore[arg-type]
    return buffer.getvalue()
