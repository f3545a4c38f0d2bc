"""Conversion of ONNX to OpenVINO IR that reads its weights from the ONNX file."""

from xml.etree import ElementTree

import onnx
from onnx import TensorProto, helper

from dcet.runtime.extras import need
from dcet.runtime.files import temporary_folder

REST = "openvino_constants"  # an initializer that no node reads


def openvino_ir(graph: bytes) -> tuple[bytes, bytes]:
    """Return the ONNX file of a graph and the .xml of its IR, whose weights file is the ONNX file.

    IR states where in its weights file each constant begins, and the weights lie in the ONNX file
    byte for byte. What else OpenVINO needs, a few hundred bytes of shapes and axes, is added there.
    """
    openvino = need("openvino", extra="export")
    model = openvino.Core().read_model(graph)
    with temporary_folder() as folder:
        file = folder / "graph.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        xml = ElementTree.parse(file).getroot()
        weights = file.with_suffix(".bin").read_bytes()

    attributes = [data.attrib for data in xml.iterfind(".//layer[@type='Const']/data")]
    constants = [weights[int(a["offset"]) :][: int(a["size"])] for a in attributes]
    rest = b"".join(sorted({each for each in constants if each not in graph}))
    if rest:
        extended = onnx.load_from_string(graph)
        extended.graph.initializer.append(
            helper.make_tensor(REST, TensorProto.UINT8, [len(rest)], rest, raw=True)
        )
        graph = extended.SerializeToString()
    begins = {constant: graph.index(constant) for constant in set(constants)}
    for attribute, constant in zip(attributes, constants, strict=True):
        attribute["offset"] = str(begins[constant])
    return graph, _without_indentation(xml)


def _without_indentation(xml: ElementTree.Element) -> bytes:
    """Serialise XML without white space between elements, which is a sixth shorter."""
    for element in xml.iter():
        for part in ("text", "tail"):
            if not (getattr(element, part) or "").strip():
                setattr(element, part, None)
    written: bytes = ElementTree.tostring(xml, encoding="utf-8", xml_declaration=True)
    return written
