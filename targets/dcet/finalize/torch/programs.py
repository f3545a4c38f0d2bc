"""Exports every graph of a bundle as torch programs, one for each of its sizes.

The height and the width of pictures stay open: a crop is scaled inside the program, as everywhere.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from dcet.finalize.torch.program import TorchProgram
from dcet.quantization.tensor_rows import tensor_row
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.manifest import Graph
from dcet.runtime.engines.fixed_shapes import FixedShapes
from dcet.runtime.engines.signatures import check_signature
from dcet.runtime.engines.torch_package import package_name
from dcet.runtime.files import temporary_folder
from dcet.runtime.senses.face import ENOUGH_PIXELS, MIN_PIXELS

# Examples, of which none may equal another by chance, and the largest: `to_crop` leaves no more.
EXAMPLES = {"height": ENOUGH_PIXELS, "width": ENOUGH_PIXELS - 16}
MOST_PIXELS = 2 * ENOUGH_PIXELS


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A graph as torch's compilers take it."""

    program: ExportedProgram
    inputs: tuple[Tensor, ...]  # examples
    open_axes: tuple[tuple[int, ...], ...]  # of each input
    pixels: tuple[int, int] = (MIN_PIXELS, MOST_PIXELS)  # least and most along an open axis


def compile_graphs(
    bundle: Bundle, folder: Path, device: str, compile: Callable[[Exported, Path], None]
) -> None:
    """Compile every graph, and leave in `folder` what `dcet.runtime.engines.torch_package` opens.

    Raises EngineError for a graph of which torch lacks an operator.
    """
    shapes = FixedShapes(bundle.manifest, scales_faces=False)
    with temporary_folder() as scratch, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own; what went wrong is raised
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(scratch)  # the process is this build's own
        for id, graph in bundle.manifest.graphs.items():
            model = onnx.load_from_string(bundle.read(graph.file))
            inputs, outputs = model.graph.input, model.graph.output
            check_signature(bundle, id, map(tensor_row, inputs), map(tensor_row, outputs))
            module = TorchProgram(model).eval().to(device)
            for choice, sizes in enumerate(shapes.sizes(id)):
                exported = export_program(module, graph, shapes.shapes(id, sizes), device)
                compile(exported, folder / package_name(id, choice))


def export_program(
    module: TorchProgram, graph: Graph, shapes: dict[str, tuple[int | str, ...]], device: str
) -> Exported:
    """Export a program for one size of each input, but for pictures.

    shapes: of every input, by its name; `height` and `width` stay open
    """
    inputs, dimensions = [], []
    for tensor in graph.inputs:
        shape = shapes[tensor.name]
        sizes = [EXAMPLES[size] if isinstance(size, str) else size for size in shape]
        inputs.append(torch.zeros(sizes, dtype=getattr(torch, tensor.dtype), device=device))
        dimensions.append(
            {
                axis: Dim(size, min=MIN_PIXELS, max=MOST_PIXELS)
                for axis, size in enumerate(shape)
                if isinstance(size, str)
            }
        )
    program = torch.export.export(module, tuple(inputs), dynamic_shapes=(tuple(dimensions),))
    return Exported(program, tuple(inputs), tuple(tuple(axes) for axes in dimensions))
