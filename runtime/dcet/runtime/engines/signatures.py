"""A graph must be the one that the manifest describes, whichever engine reads it."""

from collections.abc import Iterable, Sequence

from dcet.runtime.bundle.contents import BundleContents
from dcet.runtime.bundle.manifest import Tensor
from dcet.runtime.errors import BundleShapeMismatch


def check_signature(
    bundle: BundleContents, id: str, inputs: Iterable[Tensor], outputs: Iterable[Tensor]
) -> None:
    """Raise BundleShapeMismatch unless `inputs` and `outputs` of a loaded graph are the stated."""
    stated = bundle.manifest.graphs[id]
    for kind, expected, found in (
        ("input", stated.inputs, inputs),
        ("output", stated.outputs, outputs),
    ):
        manifest_says = {tensor.name: _describe(tensor) for tensor in expected}
        graph_says = {tensor.name: _describe(tensor) for tensor in found}
        for name in sorted(manifest_says.keys() | graph_says.keys()):
            ours, theirs = manifest_says.get(name), graph_says.get(name)
            if ours != theirs:
                raise BundleShapeMismatch(
                    f"{bundle.path}: graph {id!r}, {kind} {name!r}: the manifest says "
                    f"{ours or 'nothing'}, the graph says {theirs or 'nothing'}; "
                    "export the bundle again"
                )


def _describe(tensor: Tensor) -> str:
    # Engines do not agree on the name of a dimension that may vary, so it is compared as `?`.
    sizes: Sequence[str] = [str(d) if isinstance(d, int) else "?" for d in tensor.shape]
    return f"{tensor.dtype} ({', '.join(sizes)})"
