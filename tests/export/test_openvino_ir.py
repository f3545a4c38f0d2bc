"""OpenVINO IR of a bundle: it computes what the ONNX does, from the same bytes."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest

from dcet.benchmarks.prediction.measure import some_inputs
from dcet.export.openvino_ir import REST, openvino_ir
from dcet.runtime import Bundle

SIZES = {"tokens": 7, "windows": 2, "faces": 3, "height": 40, "width": 30, "samples": 5 * 512}


@pytest.mark.parametrize("id", ["text", "audio", "face", "speech", "step"])
def test_openvino_reads_it_from_an_unpacked_bundle(
    id: str, openvino_cpu: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(openvino_cpu) as archive:
        archive.extractall(tmp_path)
    graph = Bundle.open(tmp_path).manifest.graphs[id]
    assert graph.openvino is not None
    core = openvino.Core()
    results = [
        core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
            some_inputs(graph, SIZES)
        ).to_dict()
        for model in (
            core.read_model(tmp_path / graph.openvino.xml, tmp_path / graph.openvino.bin),
            core.read_model(tmp_path / graph.file),
        )
    ]
    assert {name for port in results[0] for name in port.names} >= {
        tensor.name for tensor in graph.outputs
    }
    for ours, theirs in zip(*(result.values() for result in results), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_weights_lie_in_a_bundle_once(cpu: Path, openvino_cpu: Path) -> None:
    plain, both = Bundle.open(cpu), Bundle.open(openvino_cpu)
    for id, graph in both.manifest.graphs.items():
        assert graph.openvino is not None
        assert graph.openvino.bin == graph.file
        added = both.manifest.files[graph.file].size_bytes
        added -= plain.manifest.files[plain.manifest.graphs[id].file].size_bytes
        assert 0 <= added < 1000


def test_only_what_the_onnx_lacks_is_added_to_it(openvino_cpu: Path) -> None:
    bundle = Bundle.open(openvino_cpu)
    data = bundle.read(bundle.manifest.graphs["text"].file)
    model = onnx.load_from_string(data)
    (rest,) = (tensor for tensor in model.graph.initializer if tensor.name == REST)
    assert not [node for node in model.graph.node if REST in node.input]
    assert openvino_ir(data)[0] == data  # now it holds all that OpenVINO needs
    model.graph.initializer.remove(rest)
    assert openvino_ir(model.SerializeToString())[0] == data
