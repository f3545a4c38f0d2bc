"""Fixed shapes for engines that compile a graph for them: a few sizes, and inputs made to fit.

What is smaller is padded with zeros, which change nothing: tokens that the mask hides, windows in
which nothing sounds, faces whose features are not read. Only the state that a stream of sound
leaves is that after the padding: one that goes on is fed hop by hop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import FACE_PIXELS, HOP_SAMPLES, LUMA, whole_hops
from dcet.runtime.bundle.manifest import Manifest, Tensor
from dcet.runtime.engines.engine import Arrays
from dcet.runtime.errors import EngineError

LEVELS = 64  # of grey, between one whole number and the next
PICTURE = ("height", "width")
USUAL_TOKENS = 32  # 97 % of the utterances of MELD have no more

Sizes = Mapping[str, int]  # of the dimensions that may vary, by their names


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Inputs of a size that a graph was compiled for."""

    choice: int  # which of its sizes
    inputs: dict[str, NDArray[Any]]
    sizes: Sizes  # before they were padded


class FixedShapes:
    """The sizes that each graph of a bundle is compiled for.

    scales_faces: pictures have one size, too; else `height` and `width` stay as they come
    """

    def __init__(self, manifest: Manifest, *, scales_faces: bool) -> None:
        self._graphs = manifest.graphs
        self._scales_faces = scales_faces
        audio, face = manifest.modalities["audio"], manifest.modalities["face"]
        # Most turns are short, of one window, and have one face or all that fit.
        window = audio.window_samples or HOP_SAMPLES
        self._choices: dict[str, tuple[int, ...]] = {
            "samples": (HOP_SAMPLES, whole_hops(window), whole_hops(window * (audio.length or 1))),
            "tokens": (min(USUAL_TOKENS, most := manifest.tokenizer.max_tokens), most),
            "windows": (1, audio.length or 1),
            "faces": (1, face.length or 1),
        }
        if scales_faces:
            self._choices |= dict.fromkeys(PICTURE, (FACE_PIXELS, FACE_PIXELS))

    def sizes(self, graph: str) -> list[Sizes]:
        """List a graph's sizes, smallest first; one where nothing varies. Raises EngineError."""
        names = {name for tensor in self._graphs[graph].inputs for _, name in _varying(tensor)}
        names -= set() if self._scales_faces else {*PICTURE}
        for name in sorted(names):
            if name not in self._choices:
                raise EngineError(
                    f"graph {graph!r}: expected dimensions named {', '.join(self._choices)}, got "
                    f"{name!r}, and how large it gets is not known; try another engine"
                )
        if not names:
            return [{}]
        columns = zip(*(self._choices[name] for name in sorted(names)), strict=True)
        choices = dict.fromkeys(columns)  # each once
        return [dict(zip(sorted(names), sizes, strict=True)) for sizes in choices]

    def shapes(self, graph: str, sizes: Sizes) -> dict[str, tuple[int | str, ...]]:
        """Return the shape of every input, by its name."""
        return {
            tensor.name: tuple(
                sizes.get(size, size) if isinstance(size, str) else size for size in tensor.shape
            )
            for tensor in self._graphs[graph].inputs
        }

    def zeros(self, graph: str, sizes: Sizes) -> list[NDArray[Any]] | None:
        """Make inputs of one size in the graph's order, or None where its pictures have any."""
        shapes = self.shapes(graph, sizes).values()
        fixed = [tuple(size for size in shape if isinstance(size, int)) for shape in shapes]
        if fixed != [*shapes]:
            return None
        dtypes = (tensor.dtype for tensor in self._graphs[graph].inputs)
        return [np.zeros(shape, dtype) for shape, dtype in zip(fixed, dtypes, strict=True)]

    def fit(self, graph: str, inputs: Arrays) -> Fitted:
        """Pad the inputs to the smallest size that holds them.

        Raises EngineError where none does, and for inputs that are not the graph's.
        """
        tensors = {tensor.name: tensor for tensor in self._graphs[graph].inputs}
        if inputs.keys() != tensors.keys():
            raise _cannot_run(graph, f"inputs {', '.join(tensors)}", ", ".join(inputs))
        fitted = dict(inputs)
        given: dict[str, int] = {}
        for name, tensor in tensors.items():
            array = inputs[name]
            if not _is_like(array, tensor):
                found = f"{array.dtype} {array.shape}"
                raise _cannot_run(graph, f"{name!r} as {tensor.dtype} {tensor.shape}", found)
            if self._scales_faces and tensor.shape[1:3] == PICTURE:
                fitted[name] = array = _scale(array)
            given |= {size: array.shape[axis] for axis, size in _varying(tensor)}
        if "samples" in given:
            given["hops"] = given["samples"] // HOP_SAMPLES
        choices = self.sizes(graph)
        for choice, sizes in enumerate(choices):
            if all(given[name] <= size for name, size in sizes.items()):
                padded = {name: _pad(array, tensors[name], sizes) for name, array in fitted.items()}
                return Fitted(choice, padded, given)
        raise _cannot_run(graph, f"at most {choices[-1]}", str(given))

    def cut(self, graph: str, outputs: Arrays, sizes: Sizes) -> dict[str, NDArray[np.float32]]:
        """Cut off what the padding gave."""
        return {
            tensor.name: outputs[tensor.name][
                tuple(
                    slice(sizes[size] if isinstance(size, str) else size) for size in tensor.shape
                )
            ]
            for tensor in self._graphs[graph].outputs
        }


def _cannot_run(graph: str, expected: str, found: str) -> EngineError:
    return EngineError(f"could not run graph {graph!r}: expected {expected}, got {found}")


def _is_like(array: NDArray[Any], tensor: Tensor) -> bool:
    return (
        array.dtype == tensor.dtype
        and array.ndim == len(tensor.shape)
        and all(
            size == stated or isinstance(stated, str)
            for size, stated in zip(array.shape, tensor.shape, strict=True)
        )
    )


def _varying(tensor: Tensor) -> list[tuple[int, str]]:
    """List axis and name of each dimension that may vary."""
    return [(axis, size) for axis, size in enumerate(tensor.shape) if isinstance(size, str)]


def _pad(array: NDArray[Any], tensor: Tensor, sizes: Sizes) -> NDArray[Any]:
    behind = [0] * array.ndim
    for axis, name in _varying(tensor):
        behind[axis] = sizes.get(name, array.shape[axis]) - array.shape[axis]
    return np.pad(array, [(0, count) for count in behind]) if any(behind) else array


def _scale(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale pictures (n, h, w, 3) to (n, 48, 48, 3), to the greys that the face encoder would see.

    Red, green and blue differ a little, so that their mix is nearer to it than any whole number:
    within 0.02. Rounded to whole greys, probabilities were up to 0.017 off.
    """
    rows, columns = (_triangles(size) for size in pixels.shape[1:3])
    grey = rows @ (pixels.astype(np.float32) @ LUMA) @ columns.T
    whole = np.rint(grey)
    steps = _colour_steps()[((grey - whole + 0.5) * LEVELS).round().astype(int)]
    coloured: NDArray[np.uint8] = (whole[..., None] + steps).clip(0, 255).astype(np.uint8)
    return coloured


@cache
def _colour_steps() -> NDArray[np.float32]:
    """Tabulate (65, 3) what to add to red, green and blue for a grey lighter by -0.5 to 0.5."""
    steps = np.array(list(product(range(-5, 6), repeat=3)), np.float32)
    lighter = np.linspace(-0.5, 0.5, LEVELS + 1, dtype=np.float32)
    nearest: NDArray[np.float32] = steps[np.abs(steps @ LUMA - lighter[:, None]).argmin(-1)]
    return nearest


@lru_cache(maxsize=128)
def _triangles(size: int) -> NDArray[np.float32]:
    """Compute (48, size), the share that each pixel takes of a line, bilinear and antialiased."""
    scale = size / FACE_PIXELS
    source = np.arange(size) + 0.5
    target = (np.arange(FACE_PIXELS) + 0.5) * scale
    weights = np.clip(1 - np.abs(source - target[:, None]) / max(scale, 1.0), 0, None)
    shares: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
