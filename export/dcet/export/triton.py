"""A model repository for Triton Inference Server, whose sequences are conversations.

`config.pbtxt` is written with Triton's own protobuf schema, and read with it again before anything
is published: the models are played through ONNX Runtime by what the configurations say, with the
states handled as Triton does, and must give what torch gives.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dcet.export.exporter import Exporter, documents
from dcet.export.graphs import ExportError, store_in
from dcet.export.record_golden import GoldenSequence
from dcet.export.triton_graphs import START, triton_graphs
from dcet.runtime.bundle.golden import TOLERANCES, compare, label_note, remade, rows_too_far
from dcet.runtime.bundle.manifest import Parity
from dcet.runtime.engines.threads import usable_cores
from dcet.runtime.extras import import_silenced, need
from dcet.runtime.files import atomic_folder
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.targets import Target

CONVERSATIONS = 4096  # at once, for each instance of a model; more wait until one ends
IDLE_MICROSECONDS = 600_000_000  # ten minutes of silence end a conversation
QUEUE_MICROSECONDS = 1_000  # that a turn waits for others to run with
MAX_BATCH = {"text": 32, "audio": 8, "face": 64, "speech": 8, "step": 64}
# In requests; of `face`, in faces.
DTYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.INT32: "TYPE_INT32",
    onnx.TensorProto.UINT8: "TYPE_UINT8",
}

Arrays = Mapping[str, NDArray[Any]]


def export_repository(exporter: Exporter, target: Target, output: Path) -> tuple[Parity, ...]:
    """Write the folder `output`, unless what is in it disagrees with torch in ONNX Runtime.

    It takes the place of a repository that was written before, and of nothing else. Its golden
    sequences are those of the exporter's bundles.

    Raises ExportError, MissingExtra or WriteError.
    """
    checkpoint = exporter.checkpoint
    for package in ("tritonclient", "grpc", "google.protobuf"):
        need(package, extra="triton")
    if "int8" in target.precision.values():
        raise ExportError(
            f"target {target.name}: expected fp32 or fp16 for a model repository, got int8; "
            "a bundle may be int8"
        )
    if output.exists() and not _is_ours(output):
        raise ExportError(
            f"{output}: expected nothing there, or a repository that dcet-export wrote, got "
            "something else; remove it, or give another --output"
        )
    exporter.progress("graphs")
    graphs = triton_graphs(checkpoint.model, target.opset, target.ir_version)
    with atomic_folder(output) as repository:
        for id, graph in graphs.items():
            write_model(repository, id, store_in(graph, target.precision_of(id)))
        extra = {"dcet_text/tokenizer.json": checkpoint.tokenizer.to_str().encode()} | {
            # A folder at the top would be taken for a model.
            f"dcet_step/{Path(name).name}": data
            for name, data in documents(checkpoint).items()
        }
        for name, data in extra.items():
            (repository / name).write_bytes(data)
        golden = exporter.golden
        exporter.progress("parity of onnxruntime")
        rows = replay(repository, golden, {id: target.precision_of(id) for id in graphs})
        for row in rows_too_far(rows):
            raise ExportError(
                f"{output}: golden sequence {row.case!r}: expected to be within "
                f"{row.tolerance} of torch, got {row.max_abs_probability:.2e}{label_note(row)}; "
                "the repository was not written. Try another version of onnxruntime"
            )
    return rows


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder holds nothing but models that were exported here."""
    models = {f"dcet_{id}" for id in MAX_BATCH}
    return folder.is_dir() and all(
        entry.name in models and (entry / "config.pbtxt").is_file() for entry in folder.iterdir()
    )


def write_model(repository: Path, id: str, graph: onnx.ModelProto) -> None:
    """Write the folder of one model: its configuration, and its graph as version 1."""
    folder = repository / f"dcet_{id}"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(graph.SerializeToString())
    config = model_config(id, graph)
    text_format = need("google.protobuf.text_format", extra="triton")
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    if any(output.label_filename for output in config.output):
        (folder / "labels.txt").write_text("\n".join(EMOTIONS) + "\n", encoding="utf-8")


def model_config(id: str, graph: onnx.ModelProto) -> Any:
    """Describe a graph as Triton's ModelConfig. An input X and an output next_X are a state."""
    schema = need("tritonclient.grpc.model_config_pb2", extra="triton")
    inputs = {value.name: _tensor(value) for value in graph.graph.input}
    outputs = {value.name: _tensor(value) for value in graph.graph.output}
    states = [name for name in inputs if f"next_{name}" in outputs]
    config = schema.ModelConfig(
        name=f"dcet_{id}",
        backend="onnxruntime",
        max_batch_size=MAX_BATCH[id],
        input=[
            schema.ModelInput(name=name, **tensor)
            for name, tensor in inputs.items()
            if name not in (*states, START)
        ],
        output=[
            schema.ModelOutput(
                name=name,
                label_filename="labels.txt" if name == "probabilities" else "",
                **tensor,
            )
            for name, tensor in outputs.items()
            if name.removeprefix("next_") not in states
        ],
    )
    if states:
        batching = _sequences(schema.ModelSequenceBatching, {n: inputs[n] for n in states})
        config.sequence_batching.CopyFrom(batching)
    else:
        config.dynamic_batching.max_queue_delay_microseconds = QUEUE_MICROSECONDS
    return config


def _sequences(batching: Any, states: Mapping[str, Mapping[str, Any]]) -> Any:
    """Describe sequences, each with these states, as Triton's ModelSequenceBatching."""
    start = batching.Control(kind=batching.Control.CONTROL_SEQUENCE_START, fp32_false_true=[0, 1])
    return batching(
        max_sequence_idle_microseconds=IDLE_MICROSECONDS,
        oldest=batching.StrategyOldest(
            max_candidate_sequences=CONVERSATIONS,
            max_queue_delay_microseconds=QUEUE_MICROSECONDS,
        ),
        control_input=[batching.ControlInput(name=START, control=[start])],
        state=[
            batching.State(
                input_name=name,
                output_name=f"next_{name}",
                initial_state=[batching.InitialState(name="zeros", zero_data=True, **tensor)],
                **tensor,
            )
            for name, tensor in states.items()
        ],
    )


def _tensor(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """Return the type and shape of one request, -1 where a dimension may vary."""
    tensor = value.type.tensor_type
    dims = [-1 if size.dim_param else size.dim_value for size in tensor.shape.dim[1:]]
    return {"data_type": DTYPES[tensor.elem_type], "dims": dims}


class TritonModel:
    """A model of a repository as Triton runs it, for one batch of sequences that never changes.

    Everything but the graph's numbers is read from its configuration.
    """

    def __init__(self, folder: Path) -> None:
        schema = need("tritonclient.grpc.model_config_pb2", extra="triton")
        text_format = need("google.protobuf.text_format", extra="triton")
        text = (folder / "config.pbtxt").read_text(encoding="utf-8")
        self.config = text_format.Parse(text, schema.ModelConfig())
        self.states: dict[str, NDArray[Any]] = {}
        onnxruntime = import_silenced("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        self.session = onnxruntime.InferenceSession(
            folder / "1" / "model.onnx", options, providers=["CPUExecutionProvider"]
        )

    def run(self, inputs: Arrays, start: Sequence[bool] = ()) -> dict[str, NDArray[Any]]:
        """Return the outputs of one batch of requests; `start` tells which sequences begin."""
        sequences = self.config.sequence_batching
        begins = np.array(start, np.float32)[:, None]
        feed = dict(inputs)
        for control in sequences.control_input:
            feed[control.name] = begins
        for state in sequences.state:
            fresh = np.zeros((len(begins), *state.dims), np.float32)
            kept = self.states.get(state.input_name, fresh)
            is_new = begins.reshape(-1, *[1] * len(state.dims)) > 0
            feed[state.input_name] = np.where(is_new, fresh, kept)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(names, feed), strict=True))
        for state in sequences.state:
            self.states[state.input_name] = outputs.pop(state.output_name)
        return outputs


def replay(
    repository: Path, golden: Mapping[str, GoldenSequence], precision: Mapping[str, str]
) -> tuple[Parity, ...]:
    """Measure how far the models are from torch, from raw inputs to estimates.

    All cases of the step are played at once, each a sequence of one batch.
    """
    features: dict[str, NDArray[Any]] = {}
    rows = []

    def judge(case: str, got: NDArray[Any], output: str, tolerance: float) -> None:
        expected = golden[case].expected[output]
        of_step = output == "probabilities"
        got = got.reshape(expected.shape)
        rows.append(compare("onnxruntime-cpu", case, got, expected, tolerance, of_step=of_step))

    for id in [id for id in ("text", "audio", "face") if id in golden]:
        model = TritonModel(repository / f"dcet_{id}")
        made = np.stack([model.run(*turn)["features"] for turn in _requests(id, golden[id])])
        judge(id, made, "features", TOLERANCES[precision[id]])
        features[id] = made.reshape(-1, made.shape[-1])
    if "speech" in golden:
        model = TritonModel(repository / "dcet_speech")
        stream = golden["speech"].inputs["pcm"][:1]  # a turn begins a stream: the first call alone
        heard = model.run({"pcm": stream[0]})["speech"]
        first = golden["speech"].expected["speech"][:1]
        tolerance = TOLERANCES[precision["speech"]]
        rows.append(
            compare("onnxruntime-cpu", "speech", heard[None], first, tolerance, of_step=False)
        )
    cases = [case for case in golden if case not in precision]
    model = TritonModel(repository / "dcet_step")
    taken = [row.name for row in model.config.input]
    step_inputs = {name: name for name in MODALITIES}  # as export_step names them
    played = [remade(golden[case].inputs, features, step_inputs) for case in cases]
    got = []
    for i in range(golden[cases[0]].steps):
        turns = [{name: values[i] for name, values in case.items()} for case in played]
        inputs = {name: np.concatenate([turn[name] for turn in turns]) for name in taken}
        inputs["speaker"] = inputs["speaker"].astype(np.int32)
        start = [i == 0 or bool(turn["reset"]) for turn in turns]
        got.append(model.run(inputs, start)["probabilities"])
    tolerance = max(TOLERANCES[precision[id]] for id in precision)
    for case, probabilities in zip(cases, np.stack(got, axis=1), strict=True):
        judge(case, probabilities, "probabilities", tolerance)
    return tuple(rows)


def _requests(id: str, sequence: GoldenSequence) -> list[tuple[Arrays, list[bool]]]:
    """Return the requests to an encoder, with whether they start a sequence."""
    requests: list[tuple[Arrays, list[bool]]] = []
    for i in range(sequence.steps):
        inputs = {name: values[i] for name, values in sequence.inputs.items()}
        if id == "audio":
            inputs = {"pcm": inputs["pcm"][None], "speaker": np.ones((1, 1), np.int32)}
        requests.append((inputs, [i == 0]))
    return requests
