"""How far an engine is from torch on the golden sequences."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.export.graphs import ExportError
from dcet.runtime.bundle import Bundle
from dcet.runtime.engines import Engine
from dcet.runtime.manifest import Parity

# Largest absolute difference of a probability or a feature, over all steps, by the precision of the
# graph.
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3}


def measure(bundle: Bundle, engine: Engine) -> tuple[Parity, ...]:
    """Replay every golden sequence. Raises ExportError where the engine is too far off."""
    manifest = bundle.manifest
    inputs, expected = (
        np.load(io.BytesIO(bundle.read(file)), allow_pickle=False)
        for file in (manifest.golden.inputs, manifest.golden.expected)
    )
    rows = []
    for case in manifest.golden.cases:
        # A case is of the step, but where it has the name of an encoder.
        graph = case.name if case.name in manifest.graphs else "step"
        output = "probabilities" if graph == "step" else "features"
        names = [name for name in inputs if name.startswith(f"{case.name}/")]
        turns = {name.partition("/")[2]: inputs[name] for name in names}
        wanted = expected[f"{case.name}/{output}"]
        got = replay(bundle, engine, graph, turns, output)
        largest = float(np.abs(got - wanted).max())
        tolerance = TOLERANCES[manifest.graphs[graph].precision]
        rows.append(
            Parity(
                engine=engine.name,
                case=case.name,
                steps=case.steps,
                max_abs_probability=largest,
                tolerance=tolerance,
                same_label=graph != "step" or bool((got.argmax(-1) == wanted.argmax(-1)).all()),
            )
        )
        if not largest <= tolerance:
            raise ExportError(
                f"{engine.name}: golden sequence {case.name!r}: expected {output} within "
                f"{tolerance} of torch, got {largest:.2e} after {case.steps} steps; "
                "the bundle was not written. Try another version of the engine"
            )
    return tuple(rows)


def replay(
    bundle: Bundle, engine: Engine, graph: str, turns: dict[str, NDArray[Any]], output: str
) -> NDArray[np.float32]:
    """One output (steps, …) of a sequence, by the rule of docs/bundle-format.md alone."""
    manifest = bundle.manifest
    count = len(next(iter(turns.values())))
    resets = turns.pop("reset", np.zeros(count))
    speakers = turns.get(manifest.speaker_input, np.ones(count)).ravel()
    pairs = [pair for pair in manifest.state if pair.graph == graph]
    states: dict[tuple[str, float], NDArray[np.float32]] = {}
    got = []
    for i, (reset, speaker) in enumerate(zip(resets, speakers, strict=True)):
        if reset:
            states.clear()
        owner = {pair.input: float(speaker) if pair.per == "speaker" else 0.0 for pair in pairs}
        feed = {name: values[i] for name, values in turns.items()}
        for pair in pairs:
            key = (pair.input, owner[pair.input])
            feed[pair.input] = states.get(key, np.zeros(pair.shape, np.float32))
        outputs = engine.run(graph, feed)
        for pair in pairs:
            states[pair.input, owner[pair.input]] = outputs[pair.output].copy()
        got.append(outputs[output].copy())
    return np.stack(got)
