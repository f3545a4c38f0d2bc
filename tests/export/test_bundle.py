"""A bundle: it obeys its specification, agrees with torch, and is written whole or not at all."""

import csv
import dataclasses
import errno
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from tokenizers import Tokenizer

import dcet.export.exporter
import dcet.quantization.fp16
from dcet.benchmarks.accuracy.measure import measure_accuracy
from dcet.data.meld import read_meld
from dcet.export.exporter import Exporter, in_precision
from dcet.export.graphs import ExportError
from dcet.quantization import inspect_precision
from dcet.runtime import Bundle, Conversation
from dcet.runtime.bundle.golden import replay_golden
from dcet.runtime.engines.engine import Engine
from dcet.runtime.engines.registry import open_engine
from dcet.runtime.errors import WriteError
from dcet.synthetic.probes import faces, speech_windows
from dcet.targets import TensorrtRange, load_target
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.saved.checkpoint import Checkpoint, load, save
from tests.export.conftest import export
from tests.tiny_training import TINY, untrained, write_bert

REPO = Path(__file__).parents[2]
SCHEMA = REPO / "docs" / "bundle.schema.json"
ENGINES = ("onnxruntime-cpu", "openvino-cpu")
MASKS = ("text", "audio", "face", "text_audio", "text_face", "audio_face", "text_audio_face")
ENCODERS = ("text", "audio", "face")
HEARING = (*ENCODERS, "speech")  # graphs with golden sequences of their own
GRAPHS = (*HEARING, "step")
FRONT_END_BYTES = 4 * (1024 + 4 * 17 * 32 + 2 * 64 * 32 + 544 * 128)  # what log_mel computes with
ENCODER_STEPS = {"text": 30, "audio": 3, "face": 2, "speech": 3}
STEP_CASES = ("plain", "reset", "switch", *(f"mask_{mask}" for mask in MASKS))


def arrays(bundle: Bundle, file: str) -> Mapping[str, NDArray[Any]]:
    return dict(np.load(io.BytesIO(bundle.read(file)), allow_pickle=False))


def test_the_manifest_obeys_the_schema(bundle: Bundle) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    with zipfile.ZipFile(bundle.path) as archive:
        assert {row.compress_type for row in archive.infolist()} == {zipfile.ZIP_STORED}
        Draft202012Validator(schema).validate(json.loads(archive.read("manifest.json")))


def test_the_bundle_is_of_its_target(cpu: Path, openvino_cpu: Path) -> None:
    plain, both = Bundle.open(cpu).manifest, Bundle.open(openvino_cpu).manifest
    assert (plain.target, plain.engines) == ("cpu", ("onnxruntime",))
    assert (both.target, both.engines) == ("openvino-cpu", ("openvino", "onnxruntime"))
    assert not [file for file in plain.files if file.startswith("openvino/")]
    assert set(both.files) - set(plain.files) == {f"openvino/{id}.xml" for id in GRAPHS}
    assert all(graph.openvino for graph in both.graphs.values())


def test_the_bundle_says_where_it_comes_from(bundle: Bundle, saved: Checkpoint) -> None:
    manifest = bundle.manifest
    assert manifest.checkpoint_sha256 == saved.sha256
    assert manifest.accuracy == saved.metrics
    assert manifest.licences == saved.licences
    assert {"torch", "onnx", "onnxruntime", "openvino", "python"} <= set(manifest.toolchain)
    assert bundle.read("MODEL_CARD.md").decode() == saved.card
    assert b"Apache License" in bundle.read("LICENSES/dcet.txt")
    trained = [name for name, modality in manifest.modalities.items() if modality.trained]
    assert trained == ["text", "audio", "face"]


def test_parity_is_recorded_for_every_engine_and_case(bundle: Bundle) -> None:
    rows = {(row.engine, row.case): row for row in bundle.manifest.parity}
    assert set(rows) == {(engine, case) for engine in ENGINES for case in (*HEARING, *STEP_CASES)}
    for (_, case), row in rows.items():
        assert row.max_abs_probability <= 1e-4 == row.tolerance
        assert row.same_label
        assert row.steps == ENCODER_STEPS.get(case, 30)


def test_golden_sequences_hold_what_they_are_named_for(bundle: Bundle) -> None:
    golden = bundle.manifest.golden
    inputs, expected = arrays(bundle, golden.inputs), arrays(bundle, golden.expected)
    assert {case.name for case in golden.cases} == {*HEARING, *STEP_CASES}
    kinds = {array.dtype.str for array in (*inputs.values(), *expected.values())}
    assert kinds == {"<f4", "<i4", "|u1"}
    for case in STEP_CASES:
        present = case.removeprefix("mask_").split("_") if "mask_" in case else ["text"]
        mask = [float(name in present) for name in ("text", "audio", "face")]
        assert (inputs[f"{case}/modality_mask"] == mask).all()
        assert (expected[f"{case}/modality_weights"][..., np.array(mask) == 0] == 0).all()
        for place, name in enumerate(ENCODERS):
            assert inputs[f"{case}/{name}"].any() == bool(mask[place])
            is_one = inputs[f"{case}/quality"][..., place] == 1
            assert not is_one.any() if mask[place] else is_one.all()
        people = set(inputs[f"{case}/speaker"].ravel())
        assert people == ({1} if case == "plain" else {1, 2, 3})
        assert bool(inputs[f"{case}/reset"].any()) == (case == "reset")
        p = expected[f"{case}/probabilities"]
        assert p.shape == (30, 1, 7)
        assert p.sum(axis=-1) == pytest.approx(np.ones((30, 1)), abs=1e-5)
        assert p.std(axis=0).max() > 1e-3  # steps differ, so that agreeing means something


def test_golden_features_are_those_of_the_encoders(bundle: Bundle) -> None:
    """Audio and face features of the step are those that the encoders make of golden inputs."""
    inputs = arrays(bundle, bundle.manifest.golden.inputs)
    expected = arrays(bundle, bundle.manifest.golden.expected)
    said = expected["text/features"].reshape(30, -1)
    assert (inputs["plain/text"][:, 0] == said[inputs["plain/text_rows"][:, 0]]).all()
    for name in ("audio", "face"):
        known = expected[f"{name}/features"].reshape(-1, expected[f"{name}/features"].shape[-1])
        rows = inputs[f"mask_{name}/{name}_rows"]
        assert ((rows >= 0) == inputs[f"mask_{name}/{name}_mask"][:, 0].astype(bool)).all()
        for fed, row in zip(inputs[f"mask_{name}/{name}"][:, 0], rows, strict=True):
            assert (fed[row >= 0] == known[row[row >= 0]]).all()
        assert (inputs[f"plain/{name}_rows"] == -1).all()
        assert len(np.unique(known, axis=0)) == len(known)
        fed, mask = (inputs[f"mask_{name}/{kind}"] for kind in (name, f"{name}_mask"))
        assert len(np.unique(mask.sum(axis=-1))) > 1  # sequences of several lengths
        for item in fed[mask == 1]:
            assert (item == known).all(axis=1).any()
        assert not fed[mask == 0].any()


def test_golden_sounds_and_faces_are_like_real_ones(bundle: Bundle) -> None:
    inputs = arrays(bundle, bundle.manifest.golden.inputs)
    pcm, pixels = inputs["audio/pcm"], inputs["face/pixels"]
    assert pcm.shape == (3, 2, 48_000)
    assert 0.02 < np.abs(pcm).max() <= 1
    assert (pcm[..., -1] == 0).all()  # padded
    assert pixels.shape == (2, 4, 96, 64, 3)
    assert pixels.std(axis=(2, 3, 4)).min() > 20


def test_the_golden_voice_is_carried(bundle: Bundle) -> None:
    """Or the later calls of the audio case would agree without it."""
    golden = bundle.manifest.golden
    pcm = arrays(bundle, golden.inputs)["audio/pcm"]
    expected = arrays(bundle, golden.expected)["audio/features"]
    voice = np.zeros((1, 3, 64), np.float32)
    forgetful = [bundle.engine().run("audio", {"pcm": p, "voice": voice}) for p in pcm]
    off = [np.abs(f["features"] - e).max() for f, e in zip(forgetful, expected, strict=True)]
    assert off[0] < 1e-4
    assert min(off[1:]) > 1e-3


def test_a_reset_shows_in_the_golden_sequence(bundle: Bundle) -> None:
    inputs = arrays(bundle, bundle.manifest.golden.inputs)
    expected = arrays(bundle, bundle.manifest.golden.expected)
    assert (inputs["reset/text"] == inputs["switch/text"]).all()
    first = int(inputs["reset/reset"].argmax())
    with_reset, without = (expected[f"{case}/probabilities"] for case in ("reset", "switch"))
    assert (with_reset[:first] == without[:first]).all()
    assert np.abs(with_reset[first] - without[first]).max() > 1e-3


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_conversation_says_what_torch_says(
    bundle: Bundle, saved: Checkpoint, dev: Path, engine: str
) -> None:
    corpus = Corpus.of_meld(dev.parent, "dev")
    expected = predict(saved.model, examples(corpus, saved.tokenizer))
    found, sentiments = [], []
    conversation = Conversation(bundle, engine)
    for dialogue in corpus.dialogues:
        conversation.reset()
        for turn in dialogue.turns:
            estimate = conversation.turn(turn.speaker, turn.text)
            found.append(list(estimate.probabilities.values()))
            sentiments.append(estimate.sentiment)
    assert np.array(found) == pytest.approx(expected.probabilities, abs=1e-4)
    assert np.array(sentiments) == pytest.approx(expected.sentiment, abs=1e-4)


@pytest.mark.parametrize("reset", [False, True], ids=["memory", "reset"])
def test_figures_of_bundle_and_torch_agree(
    bundle: Bundle, saved: Checkpoint, dev: Path, reset: bool
) -> None:
    report = measure_accuracy(
        bundle, "auto", "meld", dev, reset_memory=reset, track=lambda items, _: items
    )
    found, expected = (
        report.metrics,
        evaluate_dialogues(saved, dev, Corpus.read(dev), remember=not reset),
    )
    assert found.keys() == expected.keys()
    assert found["confusion"] == expected["confusion"]
    for key in ("n", "weighted_f1", "macro_f1", "accuracy", "per_class_f1", "ece", "nll"):
        assert found[key] == pytest.approx(expected[key], abs=1e-4)
    assert found["sentiment"] == pytest.approx(expected["sentiment"], abs=1e-4)
    if not reset:  # the runtime gives no shift where no speaker is remembered
        assert found["shift"] == pytest.approx(expected["shift"], abs=1e-4)


@pytest.mark.parametrize("reset", [False, True], ids=["memory", "reset"])
def test_what_cannot_be_used_counts_alike_in_bundle_and_torch(
    bundle: Bundle, saved: Checkpoint, dev: Path, tmp_path: Path, reset: bool
) -> None:
    """Alone, as a speaker's first turn, and as a later one."""
    emoji = "\U0001f602\U0001f602"
    header, *rows = dev.read_text(encoding="utf-8").splitlines()
    with dev.open(encoding="utf-8") as file:
        speaker = next(csv.DictReader(file))["Speaker"]
    columns = [
        {"Dialogue_ID": "new", "Utterance_ID": "0", "Speaker": "Zoe", "Utterance": emoji},
        {"Dialogue_ID": "0", "Utterance_ID": "998", "Speaker": speaker, "Utterance": emoji},
        {"Dialogue_ID": "0", "Utterance_ID": "999", "Speaker": speaker, "Utterance": "x " * 5000},
    ]
    label = {"Emotion": "joy", "Sentiment": "positive"}
    added = [
        ",".join({**row, **label}.get(key, "0") for key in header.split(",")) for row in columns
    ]
    mixed = tmp_path / "mixed.csv"
    mixed.write_text("\n".join([header, *rows, *added]) + "\n", encoding="utf-8")
    report = measure_accuracy(
        bundle, "auto", "meld", mixed, reset_memory=reset, track=lambda items, _: items
    )
    found, expected = (
        report.metrics,
        evaluate_dialogues(saved, mixed, Corpus.read(mixed), remember=not reset),
    )
    lines = [f"mixed.csv, line {len(rows) + place}" for place in (2, 3, 4)]
    assert found["unusable"] == expected["unusable"] == {"n": 3, "first": lines}
    assert found["n"] == expected["n"] == len(rows) + 3
    assert found["confusion"] == expected["confusion"]
    assert found["nll"] == pytest.approx(expected["nll"], abs=1e-4)
    assert found["sentiment"] == pytest.approx(expected["sentiment"], abs=1e-4)


def test_the_same_checkpoint_gives_the_same_bundle(
    cpu: Path, saved: Checkpoint, tmp_path: Path
) -> None:
    one, other = Bundle.open(cpu), Bundle.open(export(saved, "cpu", tmp_path / "other.dcet"))
    assert one.manifest.files == other.manifest.files  # by their hashes
    rows = [bundle.manifest.to_json() for bundle in (one, other)]
    assert {key for key in rows[0] if rows[0][key] != rows[1][key]} <= {"created"}


class Wrong(Engine):
    """An engine that is right for some runs of a graph, and then `spoil`s its outputs."""

    def __init__(self, engine: Engine, name: str, graph: str, spoil: Any, after: int) -> None:
        self.engine, self.spoil, self.after, self.steps = engine, spoil, after, 0
        self.graph = graph
        self.name, self.reason = name, engine.reason

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Any:
        outputs = self.engine.run(graph, inputs)
        if graph == self.graph:
            self.steps += 1
            if self.steps > self.after:
                self.spoil(outputs)
        return outputs


def noise(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["probabilities"] = outputs["probabilities"] + np.float32(2e-4)


def forgets(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["next_scene_memory"] = np.zeros_like(outputs["next_scene_memory"])


def nan(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["probabilities"] = np.full_like(outputs["probabilities"], np.nan)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("spoil", [noise, forgets, nan], ids=lambda spoil: spoil.__name__)
def test_a_wrong_engine_stops_the_export(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, name: str
) -> None:
    def open_wrong(bundle: Bundle, asked: str) -> Any:
        engine = open_engine(bundle, asked)
        return Wrong(engine, engine.name, "step", spoil, after=15) if asked == name else engine

    monkeypatch.setattr(dcet.export.exporter, "open_engine", open_wrong)
    with pytest.raises(ExportError, match=rf"{name}-cpu: golden sequence '\w+'.*not written"):
        export(saved, "cpu", tmp_path / "new.dcet")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.dcet").write_bytes(b"an older bundle")
    with pytest.raises(ExportError):
        export(saved, "cpu", tmp_path / "old.dcet")
    assert [path.name for path in tmp_path.iterdir()] == ["old.dcet"]
    assert (tmp_path / "old.dcet").read_bytes() == b"an older bundle"


def deaf(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["next_voice"] = np.zeros_like(outputs["next_voice"])


def blind(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["features"] = outputs["features"][::-1]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("graph", "spoil"), [("audio", deaf), ("face", blind)])
def test_a_wrong_encoder_stops_the_export(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: str, spoil: Any
) -> None:
    def open_wrong(bundle: Bundle, asked: str) -> Any:
        engine = open_engine(bundle, asked)
        return Wrong(engine, engine.name, graph, spoil, after=0)

    monkeypatch.setattr(dcet.export.exporter, "open_engine", open_wrong)
    with pytest.raises(ExportError, match=f"golden sequence '{graph}': expected features within"):
        export(saved, "cpu", tmp_path / "new.dcet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("graph", ["text", "audio", "face"])
def test_the_step_reads_what_the_engines_own_encoders_made(bundle: Bundle, graph: str) -> None:
    """Or an encoder of another precision would be judged by what it calls things."""
    engine = bundle.engine("onnxruntime")
    wrong = Wrong(engine, engine.name, graph, mixes_up, after=0)
    right, moved = (
        {row.case: row.max_abs_probability for row in replay_golden(bundle, each)}
        for each in (engine, wrong)
    )
    reached = {case for case in STEP_CASES if moved[case] > 10 * right[case]}
    named = {case for case in STEP_CASES if graph in case.removeprefix("mask_").split("_")}
    assert reached == (named | {"plain", "reset", "switch"} if graph == "text" else named)


def mixes_up(outputs: dict[str, NDArray[np.float32]]) -> None:
    outputs["features"] = outputs["features"][:, ::-1]


@pytest.mark.usefixtures("traced")
def test_a_full_disk_leaves_the_older_bundle(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, *_: object) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    output = tmp_path / "it.dcet"
    output.write_bytes(b"an older bundle")
    monkeypatch.setattr(dcet.export.exporter, "write_zip", no_space)
    with pytest.raises(WriteError, match=r"could not write .*it\.dcet: No space left"):
        export(saved, "cpu", output)
    assert [path.name for path in tmp_path.iterdir()] == ["it.dcet"]
    assert output.read_bytes() == b"an older bundle"


@pytest.mark.usefixtures("traced")
def test_a_shorter_tokenizer_limits_the_bundle(saved: Checkpoint, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(saved.tokenizer.to_str())
    tokenizer.enable_truncation(9)
    short = dataclasses.replace(saved, tokenizer=tokenizer)
    bundle = Bundle.open(export(short, "cpu", tmp_path / "short.dcet"))
    assert bundle.manifest.tokenizer.max_tokens == 9
    estimate = Conversation(bundle).turn("Ada", "so happy " * 10)
    assert estimate.degraded == ("text: cut to 9 tokens",)


def test_states_are_named_and_owned(bundle: Bundle) -> None:
    rows = {pair.input: (pair.output, pair.per, pair.shape) for pair in bundle.manifest.state}
    assert rows["speaker_memory"] == ("next_speaker_memory", "speaker", (1, 2, TINY.width))
    assert rows["scene_ring_speaker"] == ("next_scene_ring_speaker", "scene", (1, TINY.scene_ring))
    assert rows["voice"] == ("next_voice", "speaker", (1, 3, 64))
    owners = [(pair.graph, pair.per) for pair in bundle.manifest.state]
    step = [("step", "speaker")] * 4 + [("step", "scene")] * 3
    assert owners == [*step, ("audio", "speaker")]


def test_modalities_name_their_encoders(bundle: Bundle) -> None:
    rows = bundle.manifest.modalities
    assert {name: row.encoder for name, row in rows.items()} == {id: id for id in ENCODERS}
    assert (rows["audio"].sample_rate_hz, rows["audio"].window_samples) == (16_000, 48_000)
    assert (rows["face"].sample_rate_hz, rows["text"].sample_rate_hz) == (None, None)
    lengths = [rows[name].length for name in ENCODERS]
    assert lengths == [None, TINY.audio_length, TINY.face_length]


TENSORRT = dataclasses.replace(
    in_precision(load_target("cpu"), "fp32"),
    engines=("tensorrt", "onnxruntime"),
    tensorrt=TensorrtRange(min="10.3", max="11"),
)


@pytest.mark.usefixtures("traced")
def test_a_bundle_for_tensorrt_says_how_engines_are_built(
    saved: Checkpoint, tmp_path: Path
) -> None:
    output = tmp_path / "it.dcet"
    Exporter(saved, "tiny").write_verified(TENSORRT, output)
    bundle = Bundle.open(output)
    manifest = bundle.manifest
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        manifest.to_json()
    )
    assert manifest.deadline_ms == 50
    assert manifest.finalize is not None
    build = manifest.finalize.tensorrt
    assert build is not None
    assert (build.min, build.max, build.warnings) == ("10.3", "11", ())
    assert build.profiles["face"]["pixels"].max == (TINY.face_length, 192, 192, 3)
    for major, script in build.scripts.items():
        text = bundle.read(script).decode()
        assert text.count("trtexec --onnx=graphs/") == len(GRAPHS)
        assert ("--stronglyTyped" in text) == (major == "10")


def test_a_bundle_without_tensorrt_has_nothing_to_finish(bundle: Bundle) -> None:
    assert bundle.manifest.finalize is None
    assert bundle.manifest.deadline_ms == 50
    assert not [file for file in bundle.manifest.files if file.startswith("finalize/")]


def test_what_tensorrt_would_not_take_stops_the_export(
    saved: Checkpoint,
    graphs: dict[str, onnx.ModelProto],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs["face"].ir_version = 11
    monkeypatch.setattr(dcet.export.exporter, "export_graphs", lambda *_: graphs)
    with pytest.raises(
        ExportError, match=r"graph 'face': expected IR version 10 or less"
    ) as raised:
        Exporter(saved, "tiny").write_verified(TENSORRT, tmp_path / "it.dcet")
    assert "TensorRT 10.3 to 11.x would not take these graphs" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_text_alone(tmp_path: Path) -> None:
    """No graphs, cases or voice of the senses that it lacks, and what is given of them is left."""
    save(tmp_path / "tiny", untrained(write_bert(tmp_path / "bert")))
    bundle = Bundle.open(export(load(tmp_path / "tiny"), "openvino-cpu", tmp_path / "text.dcet"))
    manifest = bundle.manifest
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        manifest.to_json()
    )
    assert set(manifest.graphs) == {"text", "step"}
    assert {case.name for case in manifest.golden.cases} == {"text", *STEP_CASES}
    assert {pair.graph for pair in manifest.state} == {"step"}
    assert [row.encoder for row in manifest.modalities.values()] == ["text", None, None]
    assert [row.trained for row in manifest.modalities.values()] == [True, False, False]
    estimate = Conversation(bundle).turn("Ada", "so happy", np.ones(16_000, np.float32) / 2)
    assert estimate.modality_weights == {"text": 1, "audio": 0, "face": 0}
    assert estimate.degraded


@pytest.fixture(scope="module")
def fp16(saved: Checkpoint, cpu: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of FP16 weights, tiny as these are, for an engine of each kind."""
    plain = Bundle.open(cpu)
    graphs = {
        id: onnx.load_from_string(plain.read(graph.file))
        for id, graph in plain.manifest.graphs.items()
    }
    target = dataclasses.replace(
        load_target("openvino-cpu"), precision=dict.fromkeys(GRAPHS, "fp16")
    )
    output = tmp_path_factory.mktemp("bundle") / "fp16.dcet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)
        patch.setattr(dcet.export.exporter, "export_graphs", lambda *_: graphs)
        Exporter(saved, "tiny").write_verified(target, output)
    return Bundle.open(output)


def test_fp16_is_recorded_and_checked_as_such(fp16: Bundle) -> None:
    manifest = fp16.manifest
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        manifest.to_json()
    )
    for id, graph in manifest.graphs.items():
        assert (graph.precision, graph.file) == ("fp16", f"graphs/{id}.fp16.onnx")
        assert inspect_precision(onnx.load_from_string(fp16.read(graph.file))).arithmetic == "fp32"
    assert {row.tolerance for row in manifest.parity} == {5e-3}
    assert all(0 < row.max_abs_probability <= 5e-3 for row in manifest.parity)
    assert {(row.engine, row.case) for row in manifest.parity} == {
        (engine, case) for engine in ENGINES for case in (*HEARING, *STEP_CASES)
    }


def test_fp16_halves_what_is_not_the_front_end(fp16: Bundle, openvino_cpu: Path) -> None:
    plain = Bundle.open(openvino_cpu)
    for id in ("face", "audio"):
        sizes = [
            bundle.manifest.files[bundle.manifest.graphs[id].file].size_bytes
            for bundle in (plain, fp16)
        ]
        kept = FRONT_END_BYTES if id == "audio" else 0
        assert (sizes[1] - kept) / (sizes[0] - kept) == pytest.approx(0.5, abs=0.06)


def test_a_conversation_on_fp16_weights(fp16: Bundle, cpu: Path) -> None:
    pcm, pixels = speech_windows(1, seed=5)[0], faces(2, 60, 50, seed=5)
    expected, *found = (
        Conversation(bundle, engine).turn("Ada", "so happy", pcm, list(pixels))
        for bundle, engine in (
            (Bundle.open(cpu), "onnxruntime"),
            (fp16, "onnxruntime"),
            (fp16, "openvino"),
        )
    )
    assert expected.degraded == ("audio: 1.6 s before or after the voice are left out",)
    for estimate in found:
        assert list(estimate.probabilities.values()) == pytest.approx(
            list(expected.probabilities.values()), abs=5e-3
        )


def test_nothing_of_the_exporting_machine_stays(bundle: Bundle, folder: Path) -> None:
    """Tools like to note stack traces and where a file lay."""
    places = (REPO, Path(torch.__file__).parents[1], folder, Path.home(), Path(gettempdir()))
    for file in bundle.manifest.files:
        assert not [place for place in places if f"{place}/".encode() in bundle.read(file)]


def test_dialogues_of_the_corpus_have_several_speakers(dev: Path) -> None:
    """Or the tests above would not tell speakers apart."""
    speakers = [{turn.speaker for turn in dialogue.turns} for dialogue in read_meld(dev)]
    assert max(map(len, speakers)) == 3
