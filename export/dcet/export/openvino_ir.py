"""ONNX as OpenVINO IR, stateless as the graph is."""

import tempfile
from pathlib import Path

from dcet.runtime.extras import need


def openvino_ir(onnx: bytes) -> tuple[bytes, bytes]:
    """The .xml and .bin of a graph, weights in the precision they have."""
    openvino = need("openvino", extra="export")
    model = openvino.Core().read_model(onnx)
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "graph.xml")
        openvino.save_model(model, xml, compress_to_fp16=False)
        return xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
