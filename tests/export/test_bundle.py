"""A bundle: it obeys its specification, agrees with torch, and is written whole or not at all."""

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
import pytest
import torch
from jsonschema import Draft202012Validator
from numpy.typing import NDArray
from tokenizers import Tokenizer

import dcet.export.bundle
from dcet.benchmarks.accuracy import measure_accuracy
from dcet.export.graphs import ExportError
from dcet.runtime import Bundle, Conversation, Features
from dcet.runtime.engines import Engine, open_engine
from dcet.runtime.errors import WriteError
from dcet.runtime.meld import read_meld
from dcet.training.batches import examples
from dcet.training.checkpoint import Checkpoint
from dcet.training.corpus import Corpus
from dcet.training.evaluate import evaluate_meld
from dcet.training.forward import predict
from tests.export.conftest import export
from tests.tiny_training import TINY

REPO = Path(__file__).parents[2]
SCHEMA = REPO / "docs" / "bundle.schema.json"
ENGINES = ("onnxruntime-cpu", "openvino-cpu")
MASKS = ("text", "audio", "face", "text_audio", "text_face", "audio_face", "text_audio_face")
STEP_CASES = ("plain", "reset", "switch", *(f"mask_{mask}" for mask in MASKS))


def arrays(bundle: Bundle, file: str) -> Mapping[str, NDArray[Any]]:
    return dict(np.load(io.BytesIO(bundle.read(file)), allow_pickle=False))


def test_the_manifest_obeys_the_schema(bundle: Bundle) -> None:
    schema = json.loads(SCHEMA.read_text())
    with zipfile.ZipFile(bundle.path) as archive:
        assert {row.compress_type for row in archive.infolist()} == {zipfile.ZIP_STORED}
        Draft202012Validator(schema).validate(json.loads(archive.read("manifest.json")))


def test_the_bundle_is_of_its_target(cpu: Path, openvino_cpu: Path) -> None:
    plain, both = Bundle.open(cpu).manifest, Bundle.open(openvino_cpu).manifest
    assert (plain.target, plain.engines) == ("cpu", ("onnxruntime",))
    assert (both.target, both.engines) == ("openvino-cpu", ("openvino", "onnxruntime"))
    assert not [file for file in plain.files if file.startswith("openvino/")]
    assert set(both.files) - set(plain.files) == {
        f"openvino/{id}.{suffix}" for id in ("text", "step") for suffix in ("xml", "bin")
    }
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
    assert trained == ["text", "audio"]


def test_parity_is_recorded_for_every_engine_and_case(bundle: Bundle) -> None:
    rows = {(row.engine, row.case): row for row in bundle.manifest.parity}
    assert set(rows) == {(engine, case) for engine in ENGINES for case in (*STEP_CASES, "text")}
    for (_, case), row in rows.items():
        assert row.max_abs_probability <= 1e-4 == row.tolerance
        assert row.same_label
        assert row.steps == (1 if case == "text" else 30)


def test_golden_sequences_hold_what_they_are_named_for(bundle: Bundle) -> None:
    golden = bundle.manifest.golden
    inputs, expected = arrays(bundle, golden.inputs), arrays(bundle, golden.expected)
    assert {case.name for case in golden.cases} == {*STEP_CASES, "text"}
    assert {array.dtype.str for array in (*inputs.values(), *expected.values())} == {"<f4", "<i4"}
    for case in STEP_CASES:
        present = case.removeprefix("mask_").split("_") if "mask_" in case else ["text"]
        mask = [float(name in present) for name in ("text", "audio", "face")]
        assert (inputs[f"{case}/modality_mask"] == mask).all()
        assert (expected[f"{case}/modality_weights"][..., np.array(mask) == 0] == 0).all()
        for name, is_present in zip(("text", "audio", "face"), mask, strict=True):
            assert inputs[f"{case}/{name}"].any() == bool(is_present)
        people = set(inputs[f"{case}/speaker"].ravel())
        assert people == ({1} if case == "plain" else {1, 2, 3})
        assert bool(inputs[f"{case}/reset"].any()) == (case == "reset")
        p = expected[f"{case}/probabilities"]
        assert p.shape == (30, 1, 7)
        assert p.sum(axis=-1) == pytest.approx(np.ones((30, 1)), abs=1e-5)
        assert p.std(axis=0).max() > 1e-3  # steps differ, so that agreeing means something


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
            heard = Features(corpus.prosody[turn.row][None])
            audio = heard if corpus.prosody_mask[turn.row] else None
            estimate = conversation.turn(turn.speaker, turn.text, audio)
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
    found, expected = report.metrics, evaluate_meld(saved, dev, remember=not reset)
    assert found.keys() == expected.keys()
    assert found["confusion"] == expected["confusion"]
    for key in ("n", "weighted_f1", "macro_f1", "accuracy", "per_class_f1", "ece", "nll"):
        assert found[key] == pytest.approx(expected[key], abs=1e-4)
    assert found["sentiment"] == pytest.approx(expected["sentiment"], abs=1e-4)
    if not reset:  # the runtime gives no shift where nobody is remembered
        assert found["shift"] == pytest.approx(expected["shift"], abs=1e-4)


def test_the_same_checkpoint_gives_the_same_bundle(
    cpu: Path, saved: Checkpoint, tmp_path: Path
) -> None:
    one, other = Bundle.open(cpu), Bundle.open(export(saved, "cpu", tmp_path / "other.dcet"))
    assert one.manifest.files == other.manifest.files  # by their hashes
    rows = [bundle.manifest.to_json() for bundle in (one, other)]
    assert {key for key in rows[0] if rows[0][key] != rows[1][key]} <= {"created"}


class Wrong:
    """An engine that is right for some steps, and then `spoil`s its outputs."""

    def __init__(self, engine: Engine, name: str, spoil: Any, after: int) -> None:
        self.engine, self.spoil, self.after, self.steps = engine, spoil, after, 0
        self.name, self.reason = name, engine.reason

    def run(self, graph: str, inputs: Mapping[str, NDArray[Any]]) -> Any:
        outputs = self.engine.run(graph, inputs)
        if graph == "step":
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
        return Wrong(engine, engine.name, spoil, after=15) if asked == name else engine

    monkeypatch.setattr(dcet.export.bundle, "open_engine", open_wrong)
    with pytest.raises(ExportError, match=rf"{name}-cpu: golden sequence '\w+'.*not written"):
        export(saved, "cpu", tmp_path / "new.dcet")
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.dcet").write_bytes(b"an older bundle")
    with pytest.raises(ExportError):
        export(saved, "cpu", tmp_path / "old.dcet")
    assert [path.name for path in tmp_path.iterdir()] == ["old.dcet"]
    assert (tmp_path / "old.dcet").read_bytes() == b"an older bundle"


@pytest.mark.usefixtures("traced")
def test_a_full_disk_leaves_the_older_bundle(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, *_: object) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    output = tmp_path / "it.dcet"
    output.write_bytes(b"an older bundle")
    monkeypatch.setattr(dcet.export.bundle, "write_zip", no_space)
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
    assert [per for _, per, _ in rows.values()] == ["speaker"] * 3 + ["scene"] * 3


def test_nothing_of_the_exporting_machine_stays(bundle: Bundle, folder: Path) -> None:
    """Tools like to note stack traces and where a file lay."""
    places = (REPO, Path(torch.__file__).parents[1], folder, Path.home(), Path(gettempdir()))
    for file in bundle.manifest.files:
        assert not [place for place in places if f"{place}/".encode() in bundle.read(file)]


def test_dialogues_of_the_corpus_have_several_speakers(dev: Path) -> None:
    """Or the tests above would not tell speakers apart."""
    speakers = [{turn.speaker for turn in dialogue.turns} for dialogue in read_meld(dev)]
    assert max(map(len, speakers)) == 3
