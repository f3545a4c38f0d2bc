"""The model repository for Triton; no server is at hand, so ONNX Runtime plays its part."""

import dataclasses
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

import dcet.export.triton
from dcet.export.cli import main
from dcet.export.exporter import Exporter
from dcet.export.graphs import ExportError
from dcet.export.triton import TritonModel, export_repository
from dcet.export.triton_graphs import SLOTS, Slots
from dcet.runtime import Bundle, Conversation
from dcet.runtime.bundle.manifest import Parity
from dcet.runtime.errors import MissingExtra
from dcet.runtime.senses.audio import cut_windows
from dcet.synthetic.probes import speech
from dcet.targets import load_target
from dcet.training.network.model import SPEAKER_STATES, State
from dcet.training.saved.checkpoint import Checkpoint
from tests.runtime.signals import face

MODELS = ("audio", "face", "speech", "step", "text")


@pytest.fixture(scope="module")
def exported(
    saved: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[Parity, ...]]:
    folder = tmp_path_factory.mktemp("triton") / "repository"
    target = load_target("triton")
    return folder, export_repository(Exporter(saved, "tiny"), target, folder)


@pytest.fixture(scope="module")
def repository(exported: tuple[Path, tuple[Parity, ...]]) -> Path:
    return exported[0]


@pytest.fixture
def traced(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export with graphs that were traced before: tracing takes seconds."""
    graphs = {id: onnx.load(repository / f"dcet_{id}/1/model.onnx") for id in MODELS}
    monkeypatch.setattr(dcet.export.triton, "triton_graphs", lambda *_: graphs)


def config(repository: Path, id: str) -> Any:
    text = (repository / f"dcet_{id}" / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, ModelConfig())


def export(saved: Checkpoint, output: Path, target: Any = None) -> tuple[Parity, ...]:
    row = target or load_target("triton")
    return export_repository(Exporter(saved, "tiny"), row, output)


def test_the_models_give_what_torch_gives(exported: tuple[Path, tuple[Parity, ...]]) -> None:
    rows = {row.case: row for row in exported[1]}
    assert {"text", "audio", "face", "speech", "plain", "reset", "switch"} <= set(rows)
    assert sum(case.startswith("mask_") for case in rows) == 7
    assert max(row.max_abs_probability for row in rows.values()) <= 1e-5
    assert all(row.same_label for row in rows.values())


@pytest.mark.parametrize("id", MODELS)
def test_a_configuration_names_every_port_of_its_graph(repository: Path, id: str) -> None:
    model = onnx.load(repository / f"dcet_{id}/1/model.onnx")
    described = config(repository, id)
    batching = described.sequence_batching
    kinds = {"TYPE_FP32": 1, "TYPE_UINT8": 2, "TYPE_INT32": 6}  # as ONNX numbers them

    def ports(rows: Any, name: str = "name") -> dict[str, tuple[int, list[int]]]:
        by_name = DataType.items()
        names = {number: kind for kind, number in by_name}
        return {getattr(row, name): (kinds[names[row.data_type]], list(row.dims)) for row in rows}

    def of_graph(values: Any) -> dict[str, tuple[int, list[int]]]:
        found = {}
        for value in values:
            tensor = value.type.tensor_type
            batch, *rest = tensor.shape.dim
            assert batch.dim_param, value.name  # Triton batches along the first dimension
            sizes = [-1 if size.dim_param else size.dim_value for size in rest]
            found[value.name] = (tensor.elem_type, sizes)
        return found

    controls = {control.name: (1, [1]) for control in batching.control_input}
    assert of_graph(model.graph.input) == (
        ports(described.input) | ports(batching.state, "input_name") | controls
    )
    assert of_graph(model.graph.output) == (
        ports(described.output) | ports(batching.state, "output_name")
    )


def test_sequences_are_conversations(repository: Path, cpu: Path) -> None:
    states = Bundle.open(cpu).manifest.state
    for id in ("audio", "step"):
        batching = config(repository, id).sequence_batching
        (control,) = batching.control_input
        assert control.control[0].kind == control.control[0].CONTROL_SEQUENCE_START
        assert batching.WhichOneof("strategy_choice") == "oldest"
        assert batching.max_sequence_idle_microseconds > 0
        dims = {state.input_name: list(state.dims) for state in batching.state}
        assert dims.pop("holders") == [SLOTS]
        assert dims == {
            pair.input: [*([SLOTS] if pair.per == "speaker" else []), *pair.shape[1:]]
            for pair in states
            if pair.graph == id
        }
        for state in batching.state:
            (initial,) = state.initial_state
            assert initial.zero_data
            assert list(initial.dims) == list(state.dims)
    for id in ("text", "face", "speech"):
        assert config(repository, id).HasField("dynamic_batching")


class StandIn:
    """The part of tritonclient's client that docs/triton.md uses, over ONNX Runtime."""

    def __init__(self, repository: Path) -> None:
        self._models = {id: TritonModel(repository / id) for id in map("dcet_{}".format, MODELS)}

    def get_model_config(self, name: str) -> Any:
        return SimpleNamespace(config=self._models[name].config)

    def infer(
        self, name: str, inputs: Any, sequence_id: int = 0, sequence_start: bool = False
    ) -> Any:
        model = self._models[name]
        assert (sequence_id == 1) == model.config.HasField("sequence_batching")
        assert {given.name() for given in inputs} == {row.name for row in model.config.input}
        kinds = {"FP32": np.float32, "INT32": np.int32, "UINT8": np.uint8}
        feed = {
            given.name(): np.frombuffer(given._get_content(), kinds[given.datatype()]).reshape(
                given.shape()
            )
            for given in inputs
        }
        return SimpleNamespace(as_numpy=model.run(feed, [sequence_start]).get)


def test_the_documented_client_plays_a_conversation_as_the_runtime(
    repository: Path, cpu: Path, tmp_path: Path
) -> None:
    """Speakers come and go; each modality is there or not."""
    page = Path(__file__).parents[2] / "docs/triton.md"
    code = page.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    (tmp_path / "documented.py").write_text(code, encoding="utf-8")
    documented = runpy.run_path(str(tmp_path / "documented.py"))
    client = documented["Conversation"](StandIn(repository), id=1)
    ours = Conversation(Bundle.open(cpu), max_speakers=SLOTS)
    sounds = ours.bundle.manifest.modalities["audio"].window_samples
    assert sounds is not None
    for turn, speaker in enumerate([1, 2, 1, 3, 4, 5, 6, 7, 2, 8, 3, 1]):
        text = "i am so happy" if turn % 3 != 1 else None
        pcm = speech(sounds * (1 + turn % 2) / 16_000, seed=turn) if turn % 3 else None
        pcm = None if pcm is None else pcm - pcm.mean()
        faces = [face(48, seed=turn), face(48, seed=turn + 1)][: turn % 3]
        expected = ours.turn(f"speaker {speaker}", text, pcm, faces or None)
        ids = np.array(ours.bundle.tokenizer.encode(text or "").ids, np.int32)
        got = client.turn(
            speaker,
            None if text is None else ids,
            None if pcm is None else cut_windows(pcm, sounds, 8),
            np.stack(faces) if faces else None,
            list(expected.quality.values()),
        )
        np.testing.assert_allclose(got, list(expected.probabilities.values()), atol=1e-4)


def blank(model: TritonModel, batch: int) -> dict[str, np.ndarray]:
    """Inputs of a turn of speaker 1 with nothing in it, and states."""
    ports = {row.name: tuple(row.dims) for row in model.config.input}
    inputs = {name: np.zeros((batch, *shape), np.float32) for name, shape in ports.items()}
    inputs["speaker"] = np.ones((batch, 1), np.int32)
    inputs["quality"][:] = 1
    inputs["text"][:] = np.random.default_rng(1).standard_normal(inputs["text"].shape)
    inputs["modality_mask"][:, 0] = 1
    return inputs


def test_a_start_forgets_whatever_the_server_left(repository: Path) -> None:
    """A server that mixes up its slots must not tell one conversation about another."""
    clean, dirty = (TritonModel(repository / "dcet_step") for _ in range(2))
    inputs = blank(clean, 2)
    expected = clean.run(inputs, [True, True])
    ports = {port.name: port.shape for port in dirty.session.get_inputs()}
    left = {
        state.input_name: np.full((2, *state.dims), np.nan, np.float32)
        for state in dirty.config.sequence_batching.state
    }
    names = [port.name for port in dirty.session.get_outputs()]
    outputs = dict(
        zip(
            names,
            dirty.session.run(names, {**inputs, **left, "start": np.ones((2, 1), np.float32)}),
            strict=True,
        )
    )
    assert set(left) < set(ports)
    for name, value in expected.items():
        np.testing.assert_array_equal(outputs[name], value)
    for name, value in clean.states.items():
        np.testing.assert_array_equal(outputs[f"next_{name}"], value)


def test_a_newcomer_in_an_old_slot_is_new_and_others_stay(repository: Path) -> None:
    model = TritonModel(repository / "dcet_step")
    inputs = blank(model, 1)
    for turn, speaker in enumerate([1, 2]):
        model.run({**inputs, "speaker": np.array([[speaker]], np.int32)}, [turn == 0])
    before = dict(model.states)
    model.run({**inputs, "speaker": np.array([[1 + SLOTS]], np.int32)}, [False])
    assert model.states["holders"][0].tolist() == [1 + SLOTS, 2, *[0] * (SLOTS - 2)]
    for name in SPEAKER_STATES:
        np.testing.assert_array_equal(model.states[name][0, 1:], before[name][0, 1:])
    ring_mask = model.states["speaker_ring_mask"][0, 0]
    assert ring_mask.sum() == 1  # one utterance: none of the slot's former holder
    assert not np.array_equal(model.states["scene_memory"], before["scene_memory"])
    assert set(State._fields) < set(model.states)


def test_slots_are_found_taken_and_put_back() -> None:
    speaker = torch.tensor([[2], [5], [3]], dtype=torch.int32)
    start = torch.tensor([[0.0], [0.0], [1.0]])
    holders = torch.tensor([[1.0, 2, 0, 0], [1.0, 2, 3, 4], [1.0, 2, 3, 4]])
    slots = Slots.of(speaker, start, holders)
    assert slots.holders.tolist() == [[1, 2, 0, 0], [5, 2, 3, 4], [0, 0, 3, 0]]
    assert slots.known.tolist() == [[True], [False], [False]]
    state = torch.arange(24.0).reshape(3, 4, 2) + 1
    assert slots.take(state).tolist() == [[3, 4], [0, 0], [0, 0]]
    after = slots.put(state, torch.full((3, 2), -1.0), start)
    assert after[0].tolist() == [[1, 2], [-1, -1], [5, 6], [7, 8]]
    assert after[1].tolist() == [[-1, -1], [11, 12], [13, 14], [15, 16]]
    assert after[2].tolist() == [[0, 0], [0, 0], [-1, -1], [0, 0]]


@pytest.mark.usefixtures("traced")
def test_the_command_replaces_its_own_repository_and_nothing_else(
    folder: Path, tmp_path: Path
) -> None:
    arguments = ["--target", "triton", "--checkpoint", str(folder), "--output"]
    output = tmp_path / "repository"
    for _ in range(2):
        result = CliRunner().invoke(main, [*arguments, str(output), "--json"])
        assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["repository"] == str(output)
    assert set(shown["graphs"]) == set(MODELS)
    assert shown["parity"]["onnxruntime-cpu"] <= 1e-5
    assert shown["size_bytes"] > sum(row["size_bytes"] for row in shown["graphs"].values())
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    (output / "mine").mkdir()
    result = CliRunner().invoke(main, [*arguments, str(output)])
    assert result.exit_code == 2
    assert "repository: expected nothing there, or a repository that dcet-export" in result.stderr
    assert (output / "mine").exists()


@pytest.mark.usefixtures("traced")
def test_a_repository_that_is_wrong_is_not_written(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TritonModel, "run", _forgetful(TritonModel.run))
    with pytest.raises(ExportError, match=r"golden sequence 'audio': .* was not written"):
        export(saved, tmp_path / "repository")
    assert not list(tmp_path.iterdir())


def _forgetful(run: Any) -> Any:
    def forget(self: TritonModel, inputs: Any, start: Any = ()) -> Any:
        return run(self, inputs, [True] * len(start))

    return forget


def test_int8_is_refused(saved: Checkpoint, tmp_path: Path) -> None:
    target = load_target("triton")
    target = dataclasses.replace(target, precision={**target.precision, "text": "int8"})
    with pytest.raises(ExportError, match="expected fp32 or fp16 for a model repository, got int8"):
        export(saved, tmp_path / "repository", target)


def test_a_missing_tritonclient_names_its_cure(
    saved: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient", None)
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[triton\]'"):
        export(saved, tmp_path / "repository")
