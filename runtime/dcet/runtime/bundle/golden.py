"""Measures how far an engine is from torch on a bundle's golden sequences, end to end."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.bundle.manifest import Parity
from dcet.runtime.engines.engine import Engine

if TYPE_CHECKING:
    from dcet.runtime.bundle.bundle import Bundle

# Largest absolute difference of a probability or a feature over all steps, by the precision of the
# graphs that took part.
TOLERANCES = {"fp32": 1e-4, "fp16": 5e-3, "int8": 5e-2}
# Least share of the steps of all cases that have torch's most probable emotion. Not of each case:
# where two emotions are all but equally probable, in one of 30 steps, rounding may decide.
LABEL_AGREEMENT = 0.98

Arrays = dict[str, NDArray[Any]]


def replay_golden(bundle: "Bundle", engine: Engine) -> tuple[Parity, ...]:
    """Replay every golden sequence by the rules of docs/bundle-format.md alone.

    The encoders' cases come first. The step then reads the features that this engine's encoders
    made of them, so that its rows measure both together. The features of an int8 encoder may differ
    as long as the step understands them, so they have no row of their own.

    Raises EngineError where the engine cannot run, BundleError where the bundle is damaged.
    """
    manifest = bundle.manifest
    inputs, expected = (
        _cases(bundle, file) for file in (manifest.golden.inputs, manifest.golden.expected)
    )
    steps = {case.name: case.steps for case in manifest.golden.cases}
    step_inputs = {name: modality.input for name, modality in manifest.modalities.items()}
    features: Arrays = {}
    rows = []
    for name, modality in manifest.modalities.items():
        encoder = modality.encoder
        if encoder is None or encoder not in steps:
            continue
        made = _replay(bundle, engine, encoder, inputs[encoder])["features"]
        features[name] = made.reshape(-1, modality.width)
        precision = manifest.graphs[encoder].precision
        if precision != "int8":
            wanted, tolerance = expected[encoder]["features"], TOLERANCES[precision]
            rows.append(compare(engine.name, encoder, made, wanted, tolerance, of_step=False))
    if manifest.speech is not None and (graph := manifest.speech.graph) in steps:
        heard, wanted = (
            _replay(bundle, engine, graph, inputs[graph])["speech"],
            expected[graph]["speech"],
        )
        tolerance = TOLERANCES[manifest.graphs[graph].precision]
        rows.append(compare(engine.name, graph, heard, wanted, tolerance, of_step=False))
    tolerance = max(TOLERANCES[graph.precision] for graph in manifest.graphs.values())
    for case in steps.keys() - manifest.graphs.keys():
        turns = remade(inputs[case], features, step_inputs)
        got = _replay(bundle, engine, "step", turns)["probabilities"]
        wanted = expected[case]["probabilities"]
        rows.append(compare(engine.name, case, got, wanted, tolerance, of_step=True))
    order = list(steps)
    return tuple(sorted(rows, key=lambda row: order.index(row.case)))


def compare(
    engine: str,
    case: str,
    got: NDArray[Any],
    expected: NDArray[Any],
    tolerance: float,
    *,
    of_step: bool,
) -> Parity:
    """Compare an output (steps, …) with torch's: probabilities of the step, or of a voice, or
    features."""
    agreement = float((got.argmax(-1) == expected.argmax(-1)).mean()) if of_step else None
    return Parity(
        engine=engine,
        case=case,
        steps=len(expected),
        max_abs_probability=float(np.abs(got - expected).max()),
        tolerance=tolerance,
        same_label=agreement in (None, 1),
        label_agreement=agreement,
    )


def remade(
    turns: Mapping[str, NDArray[Any]],
    features: Mapping[str, NDArray[Any]],
    step_inputs: Mapping[str, str],
) -> Arrays:
    """Replace what torch's encoders made in a case of the step by `features` (n, width).

    `features` and `step_inputs`, the names of the step's inputs, are by modality.
    """
    made = dict(turns)
    for name, features_of in features.items():
        rows = turns.get(f"{name}_rows")
        if rows is not None:
            taken = features_of[rows] * (rows >= 0)[..., None]  # (steps, length, width)
            place = step_inputs[name]
            made[place] = taken.astype(np.float32).reshape(turns[place].shape)
    return made


def rows_too_far(rows: Sequence[Parity]) -> tuple[Parity, ...]:
    """Return the rows outside their tolerance; a row with NaN always is.

    Where too few steps have torch's most probable emotion, the rows that lack some are, too.
    """
    of_step = [row for row in rows if row.label_agreement is not None]
    same = sum(row.steps * (row.label_agreement or 0.0) for row in of_step)
    differ = same < LABEL_AGREEMENT * sum(row.steps for row in of_step)
    return tuple(
        row
        for row in rows
        if not row.max_abs_probability <= row.tolerance or (differ and not row.same_label)
    )


def label_note(row: Parity) -> str:
    """Say, for a message about a row, in how many steps the emotions are the same."""
    return "" if row.same_label else f", and the same emotion in {row.label_agreement:.0%}"


def _cases(bundle: "Bundle", file: str) -> dict[str, Arrays]:
    cases: dict[str, Arrays] = {}
    with np.load(io.BytesIO(bundle.read(file)), allow_pickle=False) as arrays:
        for name in arrays:
            case, _, tensor = name.partition("/")
            cases.setdefault(case, {})[tensor] = arrays[name]
    return cases


def _replay(bundle: "Bundle", engine: Engine, graph: str, turns: Arrays) -> Arrays:
    """Run a sequence and return every output (steps, …) but the states."""
    manifest = bundle.manifest
    taken = {tensor.name for tensor in manifest.graphs[graph].inputs}
    count = len(next(iter(turns.values())))
    resets = turns.get("reset", np.zeros(count))
    speakers = turns.get(manifest.speaker_input, np.ones(count)).ravel()
    pairs = manifest.states_of(graph)
    states: dict[tuple[str, float], NDArray[np.float32]] = {}
    got: dict[str, list[NDArray[np.float32]]] = {}
    for i, (reset, speaker) in enumerate(zip(resets, speakers, strict=True)):
        if reset:
            states.clear()
        owner = {pair.input: float(speaker) if pair.per == "speaker" else 0.0 for pair in pairs}
        feed = {name: values[i] for name, values in turns.items() if name in taken}
        for pair in pairs:
            key = (pair.input, owner[pair.input])
            feed[pair.input] = states.get(key, np.zeros(pair.shape, np.float32))
        outputs = engine.run(graph, feed)
        for pair in pairs:
            states[pair.input, owner[pair.input]] = outputs.pop(pair.output)
        for name, value in outputs.items():
            got.setdefault(name, []).append(value)
    return {name: np.stack(values) for name, values in got.items()}
