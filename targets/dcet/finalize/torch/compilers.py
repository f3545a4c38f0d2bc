"""Compilers of torch programs: torch's own, which needs a C++ compiler, and TensorRT.

torch-cuda and torch-tensorrt were never run: there was no GPU to run them on.
"""

from pathlib import Path

import torch

from dcet.finalize.torch.programs import Exported, compile_graphs
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.extras import need


def build_with_inductor(bundle: Bundle, folder: Path, kept: Path, *, device: str) -> None:
    """Build `torch-cpu` or `torch-cuda`: torch compiles each program.

    Raises EngineError for a graph of which torch lacks an operator, or what torch raises.
    """
    compile_graphs(bundle, folder, device, _inductor)


def build_with_tensorrt(bundle: Bundle, folder: Path, kept: Path) -> None:
    """Build `torch-tensorrt`: TensorRT compiles what it takes of each program, and torch the rest.

    Raises MissingExtra, EngineError, or what torch and TensorRT raise.
    """
    compile_graphs(bundle, folder, "cuda", _torch_tensorrt)


def _inductor(exported: Exported, package: Path) -> None:
    torch._inductor.aoti_compile_and_package(exported.program, package_path=str(package))


def _torch_tensorrt(exported: Exported, package: Path) -> None:
    torch_tensorrt = need("torch_tensorrt", extra="torch-tensorrt")
    inputs = []
    for example, open_axes in zip(exported.inputs, exported.open_axes, strict=True):
        shapes = {"shape": list(example.shape)}
        if open_axes:
            least, most = (
                [limit if axis in open_axes else size for axis, size in enumerate(example.shape)]
                for limit in exported.pixels
            )
            shapes = {"min_shape": least, "opt_shape": list(example.shape), "max_shape": most}
        inputs.append(torch_tensorrt.Input(**shapes, dtype=example.dtype))
    compiled = torch_tensorrt.dynamo.compile(
        exported.program,
        arg_inputs=inputs,
        use_explicit_typing=True,  # precision is in the graph
        disable_tf32=True,  # 10 bits of mantissa are less than an fp32 graph promises
        immutable_weights=True,
    )
    # Ahead of time, as without TensorRT: an ExportedProgram would be saved with pickles.
    torch_tensorrt.save(
        compiled,
        str(package),
        output_format="aot_inductor",
        retrace=True,
        arg_inputs=inputs,  # not examples, whose height and width would be those of all pictures
    )
