"""How far an engine is from torch on the golden sequences."""

import io

import numpy as np
from numpy.typing import NDArray

from dcet.export.graphs import ExportError
from dcet.runtime.bundle import Bundle
from dcet.runtime.engines import Engine
from dcet.runtime.manifest import Parity

FP32_TOLERANCE = 1e-4  # largest absolute difference of a probability, over all steps


def measure(bundle: Bundle, engine: Engine) -> tuple[Parity, ...]:
    """Replay every golden sequence. Raises ExportError where the engine is too far off."""
    manifest = bundle.manifest
    inputs, expected = (
        np.load(io.BytesIO(bundle.read(file)), allow_pickle=False)
        for file in (manifest.golden.inputs, manifest.golden.expected)
    )
    rows = []
    for case in manifest.golden.cases:
        names = [name for name in inputs if name.startswith(f"{case.name}/")]
        turns = {name.partition("/")[2]: inputs[name] for name in names}
        if case.name == "text":
            wanted = expected["text/features"]
            got = np.stack(
                [engine.run("text", _step(turns, i))["features"] for i in range(len(wanted))]
            )
            agrees = True
        else:
            wanted = expected[f"{case.name}/probabilities"]
            got = replay(bundle, engine, turns)
            agrees = bool((got.argmax(-1) == wanted.argmax(-1)).all())
        largest = float(np.abs(got - wanted).max())
        rows.append(
            Parity(
                engine=engine.name,
                case=case.name,
                steps=case.steps,
                max_abs_probability=largest,
                tolerance=FP32_TOLERANCE,
                same_label=agrees,
            )
        )
        if not largest <= FP32_TOLERANCE:
            raise ExportError(
                f"{engine.name}: golden sequence {case.name!r}: expected probabilities within "
                f"{FP32_TOLERANCE} of torch, got {largest:.2e} after {case.steps} steps; "
                "the bundle was not written. Try another version of the engine"
            )
    return tuple(rows)


def replay(
    bundle: Bundle, engine: Engine, turns: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Probabilities (steps, 1, 7) of one sequence, by the rule of docs/bundle-format.md alone."""
    manifest = bundle.manifest
    resets, speakers = turns.pop("reset"), turns[manifest.speaker_input]
    states: dict[tuple[str, float], NDArray[np.float32]] = {}
    got = []
    for i, (reset, speaker) in enumerate(zip(resets, speakers.ravel(), strict=True)):
        if reset:
            states.clear()
        owner = {
            pair.input: float(speaker) if pair.per == "speaker" else 0.0 for pair in manifest.state
        }
        feed = _step(turns, i)
        for pair in manifest.state:
            key = (pair.input, owner[pair.input])
            feed[pair.input] = states.get(key, np.zeros(pair.shape, np.float32))
        outputs = engine.run("step", feed)
        for pair in manifest.state:
            states[pair.input, owner[pair.input]] = outputs[pair.output].copy()
        got.append(outputs["probabilities"].copy())
    return np.stack(got)


def _step(turns: dict[str, NDArray[np.float32]], i: int) -> dict[str, NDArray[np.float32]]:
    return {name: values[i] for name, values in turns.items()}
