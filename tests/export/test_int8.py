"""Int8 bundles: made of real turns, within a bound, with the evidence in the manifest."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import dcet.export.exporter
import dcet.quantization.fp16
import dcet.quantization.packed
import dcet.quantization.sensitivity
import dcet.training.saved.weights
from dcet.data.metrics import emotion_metrics
from dcet.data.playing import play
from dcet.data.turns import LabelledTurn, Turns
from dcet.export.cli import main
from dcet.export.exporter import Exporter, in_precision
from dcet.export.graphs import store_in
from dcet.export.int8_bound import Bound, Judged, quantise_graph
from dcet.quantization import QuantizationError, inspect_precision
from dcet.quantization.bounded import BoundError
from dcet.quantization.calibration_batches import record_batches, spread_batches
from dcet.quantization.sensitivity import mean_kl, sensitivities
from dcet.runtime import Bundle
from dcet.runtime.bundle.golden import replay_golden
from dcet.synthetic.probes import faces, speech_windows
from dcet.targets import Target, load_target
from dcet.training.evaluate import evaluate_encoder
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import Checkpoint
from tests.compare_bundles import differences
from tests.tiny_senses import write_crema_d, write_ferplus, write_ravdess
from tests.tiny_training import FELT

SCHEMA = Path(__file__).parents[2] / "docs" / "bundle.schema.json"
ENCODERS = ("text", "audio", "face")


def said(number: int) -> LabelledTurn:
    return LabelledTurn(
        speaker=f"speaker {number % 2}",
        emotion=number % len(FELT),
        text=f"i am so {FELT[number % len(FELT)]}",
        audio=speech_windows(1, seed=number)[0] if number % 3 else None,
        faces=tuple(faces(2, 60, 50, seed=number)) if number % 4 else (),
    )


TURNS = Turns("felt", {"a": tuple(map(said, range(9))), "b": tuple(map(said, range(9, 14)))})
BOUND = Bound(turns=TURNS, max_drop=0.2)  # a flip is a tenth of so few turns


def target(name: str) -> Target:
    # NNCF is tried in tests/quantization, and slower.
    row = dataclasses.replace(load_target(name), quantizer="onnxruntime")
    return in_precision(row, "int8")


def export(saved: Checkpoint, name: str, output: Path, bound: Bound = BOUND) -> Bundle:
    Exporter(saved, "tiny", bound=bound).write_verified(target(name), output)
    return Bundle.open(output)


@pytest.fixture(autouse=True)
def tiny_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)


@pytest.fixture
def int8(saved: Checkpoint, tmp_path: Path, traced: None) -> Bundle:
    return export(saved, "cpu", tmp_path / "int8.dcet")


def test_encoders_are_int8_and_the_evidence_is_true(int8: Bundle, cpu: Path) -> None:
    manifest = int8.manifest
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        manifest.to_json()
    )
    for id, graph in manifest.graphs.items():
        found = inspect_precision(onnx.load_from_string(int8.read(graph.file)))
        assert (graph.precision, graph.arithmetic) == (found.precision, found.arithmetic)
        assert (found.precision == "int8") == (id in ENCODERS) == (graph.qdq_count > 0)
        assert graph.opset == 18
    assert manifest.graphs["step"].arithmetic == "fp32"
    row = manifest.quantization
    assert row is not None
    before, after = play(Bundle.open(cpu), TURNS), play(int8, TURNS)
    assert row.before == pytest.approx(emotion_metrics(TURNS.labels, before)["weighted_f1"])
    figures = emotion_metrics(TURNS.labels, after)
    assert row.after == pytest.approx(figures["weighted_f1"])
    assert row.per_class_f1_after == pytest.approx(figures["per_class_f1"])
    assert row.after >= row.before - row.max_drop
    assert row.label_agreement == (before.argmax(axis=1) == after.argmax(axis=1)).mean()
    # Of a model whose estimates are nearly the same in int8: a millionth of a nat.
    assert row.mean_kl == pytest.approx(mean_kl(before, after), rel=0.05, abs=1e-7)
    assert row.mean_kl > 0
    assert (row.calibration.name, row.calibration.turns, row.calibration.conversations) == (
        "felt",
        14,
        2,
    )
    assert row.calibration.sha256 == TURNS.sha256
    assert row.quantizer.startswith("onnxruntime ")
    kept = {id: {layer.layer for layer in graph.kept} for id, graph in row.graphs.items()}
    assert kept["audio"] >= {"stem.0", "attention", "overall.1", "features.0"}
    assert kept["face"] >= {"stem.0", "features.0"}
    assert kept["text"] == set()
    heard = {parity.tolerance for parity in manifest.parity if parity.case == "speech"}
    others = {parity.tolerance for parity in manifest.parity if parity.case != "speech"}
    assert (heard, others) == ({0.005}, {0.05})  # the detector is never int8


def test_the_front_end_stays_as_it_is(int8: Bundle, cpu: Path) -> None:
    def front_end(bundle: Bundle) -> dict[str, bytes]:
        graph = onnx.load_from_string(bundle.read(bundle.manifest.graphs["audio"].file)).graph
        constants = [t for t in graph.initializer if t.name.startswith("log_mel.")]
        return {tensor.name: onnx.numpy_helper.to_array(tensor).tobytes() for tensor in constants}

    assert front_end(int8) == front_end(Bundle.open(cpu))
    assert len(front_end(int8)) == 8


@pytest.mark.usefixtures("traced")
def test_what_int8_costs_the_senses_is_measured_as_training_measures(
    saved: Checkpoint, tmp_path: Path
) -> None:
    write_crema_d(tmp_path / "crema_d")
    write_ravdess(tmp_path / "ravdess")
    write_ferplus(tmp_path / "ferplus")
    bound = dataclasses.replace(BOUND, corpora=tmp_path)
    bundle = export(saved, "cpu", tmp_path / "int8.dcet", bound)
    assert bundle.manifest.quantization is not None
    found = bundle.manifest.quantization.corpora
    assert found is not None
    assert {name: row.graph for name, row in found.items()} == {
        "ferplus": "face",
        "ravdess": "audio",
        "crema_d": "audio",
    }
    for name, row in found.items():
        encoder = saved.model.face if row.graph == "face" else saved.model.audio
        assert encoder is not None
        figures = evaluate_encoder(encoder, name, tmp_path / name, "dev")
        assert row.items == figures["n"]
        assert row.before == pytest.approx(figures["accuracy"])
        assert row.after == pytest.approx(row.before, abs=0.2)  # of few clips and faces


def test_what_was_packed_stays_in_int8_but_for_tensorrt(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dcet.training.saved.weights, "PACKED_FROM", 64)
    monkeypatch.setattr(dcet.quantization.packed, "MIN_ELEMENTS", 64)
    checkpoint.save(tmp_path / "packed", saved, packed=True)
    exporter = Exporter(checkpoint.load(tmp_path / "packed"), "tiny", bound=BOUND)
    words = "encoder.backbone.embeddings.word_embeddings.weight"
    stored = {}
    for name in ("cpu", "jetson"):
        exporter.write_verified(target(name), tmp_path / name)
        bundle = Bundle.open(tmp_path / name)
        graph = onnx.load_from_string(bundle.read(bundle.manifest.graphs["text"].file)).graph
        stored[name] = {t.name: t.data_type for t in graph.initializer if words in t.name}
    assert stored == {
        "cpu": {
            f"{words}.int8": onnx.TensorProto.INT8,
            f"row_scale.{words}": onnx.TensorProto.FLOAT,
        },
        "jetson": {f"{words}.fp16": onnx.TensorProto.FLOAT16},
    }


@pytest.mark.usefixtures("traced")
def test_tensorrt_gets_zero_points_of_zero_and_its_own_arithmetic(
    saved: Checkpoint, tmp_path: Path
) -> None:
    bundle = export(saved, "jetson", tmp_path / "jetson.dcet")
    assert bundle.manifest.quantization is not None
    assert bundle.manifest.quantization.symmetric
    assert bundle.manifest.graphs["step"].arithmetic == "fp16"
    for id in ENCODERS:
        graph = onnx.load_from_string(bundle.read(bundle.manifest.graphs[id].file)).graph
        constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        kinds = ("QuantizeLinear", "DequantizeLinear")
        points = [constants[n.input[2]] for n in graph.node if n.op_type in kinds]
        assert points
        assert {point.dtype for point in points} == {np.dtype(np.int8)}
        assert not any(point.any() for point in points)


@pytest.mark.usefixtures("traced")
def test_a_bundle_is_the_same_alone_and_with_others(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step of openvino-cpu computes in fp32, that of jetson in fp16; evidence is comparable."""
    quantised = []

    def counted(model: onnx.ModelProto, *rest: Any, **options: Any) -> onnx.ModelProto:
        quantised.append(model.graph.name)
        return quantise_graph(model, *rest, **options)

    monkeypatch.setattr(dcet.export.exporter, "quantise_graph", counted)
    together = Exporter(saved, "tiny", bound=BOUND)
    for name in ("openvino-cpu", "openvino-npu", "jetson"):
        together.write_verified(target(name), tmp_path / f"{name}.dcet")
    assert quantised == [*ENCODERS, *ENCODERS]  # with any zero point, and with 0 alone
    alone = export(saved, "jetson", tmp_path / "alone.dcet")
    assert list(differences(tmp_path / "jetson.dcet", alone.path)) == []


def test_speakers_are_told_apart_in_fp16(graphs: dict[str, onnx.ModelProto], cpu: Path) -> None:
    """5000 and 5001 are one number in float16."""
    import onnxruntime

    half = store_in(graphs["step"], "fp16", "fp16")
    assert inspect_precision(half).arithmetic == "fp16"
    session = onnxruntime.InferenceSession(
        half.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    feed = {p.name: rng.random(p.shape, dtype=np.float32) for p in session.get_inputs()}
    feed["scene_ring_speaker"] = np.full_like(feed["scene_ring_speaker"], 5000)
    found = []
    for speaker in (5000, 5001):
        feed["speaker"][:] = speaker
        found.append(session.run(["probabilities", "next_scene_ring_speaker"], feed))
    assert np.abs(found[0][0] - found[1][0]).max() > 1e-3
    assert found[1][1].ravel()[-1] == 5001


@pytest.mark.usefixtures("traced")
def test_a_bound_that_cannot_be_held_names_layers_and_writes_nothing(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(*_: object) -> Judged:
        return Judged(probabilities=np.zeros((0, 7)), figures={}, misses="it is never enough")

    monkeypatch.setattr(dcet.export.exporter, "judge", judge)
    with pytest.raises(
        BoundError, match=r"never enough, even with .* costs most: (text|audio|face) "
    ):
        export(saved, "cpu", tmp_path / "int8.dcet")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("traced")
def test_every_int8_layer_has_its_sensitivity(
    cpu: Path, int8: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sensitivity of a layer is the effect when it alone is int8."""
    monkeypatch.setattr(dcet.quantization.sensitivity, "WORTH_A_SEARCH", 0)
    plainly = Bundle.open(cpu)
    floats, quantised = (
        {id: onnx.load_from_string(b.read(b.manifest.graphs[id].file)) for id in ("audio", "face")}
        for b in (plainly, int8)
    )
    rows = sensitivities(plainly, TURNS, floats, quantised, lambda message: None)
    assert int8.manifest.quantization is not None
    counted = {id: int8.manifest.quantization.graphs[id] for id in floats}
    assert len(rows) == sum(graph.layers - len(graph.kept) for graph in counted.values())
    assert len({(row.graph, row.layer.node) for row in rows}) == len(rows)
    assert max(row.mean_kl for row in rows) > 0
    monkeypatch.setattr(dcet.quantization.sensitivity, "WORTH_A_SEARCH", 1)
    few = sensitivities(plainly, TURNS, floats, quantised, lambda message: None)
    assert few
    assert {row.graph for row in few} < floats.keys()
    worst = max(row.max_abs_probability for row in replay_golden(int8, int8.engine()))
    assert 0 < max(row.max_abs_probability for row in rows) < 3 * worst


def test_batches_are_what_the_graphs_were_fed(cpu: Path) -> None:
    batches, probabilities = record_batches(Bundle.open(cpu), TURNS, "onnxruntime")
    heard, seen = (sum(bool(n % every) for n in range(14)) for every in (3, 4))
    counts = {id: len(of) for id, of in batches.items()}
    assert counts == {"text": 14, "audio": heard, "face": seen, "speech": heard, "step": 14}
    assert any(batch["voice"].any() for batch in batches["audio"])  # a voice that is known
    assert probabilities.shape == (14, 7)
    few = spread_batches(batches["text"], 3)
    assert [id(batch) for batch in few] == [id(batches["text"][place]) for place in (0, 6, 13)]


@pytest.mark.usefixtures("traced")
def test_turns_without_sound_cannot_calibrate_the_audio_encoder(
    saved: Checkpoint, tmp_path: Path
) -> None:
    silent = [dataclasses.replace(turn, audio=None) for turn in TURNS]
    turns = Turns("silent", {"a": tuple(silent)})
    with pytest.raises(QuantizationError, match=r"graph 'audio': expected batches .* got none"):
        export(saved, "cpu", tmp_path / "int8.dcet", Bound(turns=turns, max_drop=1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "expected labelled turns, got none"),
        (["joy", "joy"], "expected turns of at least two emotions, got 2 of joy"),
    ],
)
def test_a_bad_calibration_set_is_named_before_anything_is_made(
    folder: Path, tmp_path: Path, rows: list[str], message: str
) -> None:
    calibration = tmp_path / "calibration"
    calibration.mkdir()
    lines = [
        json.dumps({"conversation": "c", "speaker": "Ann", "emotion": label, "text": f"so {n}"})
        for n, label in enumerate(rows)
    ]
    (calibration / "turns.jsonl").write_text("\n".join(lines), encoding="utf-8")
    output = tmp_path / "it.dcet"
    result = CliRunner().invoke(
        main,
        f"--target cpu --checkpoint {folder} --precision int8 --calibration {calibration} "
        f"--output {output}".split(),
    )
    assert result.exit_code == 2
    assert message in result.stderr
    assert not output.exists()
