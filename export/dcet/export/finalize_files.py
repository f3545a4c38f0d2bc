"""The files that a device builds TensorRT engines from: shapes to build for, and command lines."""

from collections.abc import Mapping

from onnx import ModelProto

from dcet.export.graphs import ExportError
from dcet.export.lint import lint
from dcet.runtime.arrays import HOP_SAMPLES, whole_hops
from dcet.runtime.bundle.manifest import Graph, Modality, Profile, TensorrtBuild
from dcet.runtime.senses.face import ENOUGH_PIXELS, MIN_PIXELS
from dcet.targets import TensorrtRange

USUAL_TOKENS = 32
SHOWN = 5  # findings in a message
# A crop is made smaller by a whole factor, so that its sides are less than twice as long as needed.
CROP_PIXELS = (MIN_PIXELS, ENOUGH_PIXELS, 2 * ENOUGH_PIXELS)

Profiles = Mapping[str, Mapping[str, Profile]]  # by graph and input


def tensorrt_build(
    tensorrt: TensorrtRange,
    models: Mapping[str, ModelProto],
    graphs: Mapping[str, Graph],
    modalities: Mapping[str, Modality],
    max_tokens: int,
) -> tuple[TensorrtBuild, dict[str, bytes]]:
    """Return what the manifest says of building with TensorRT, and the files for it.

    Raises ExportError for graphs that TensorRT would not take.
    """
    shapes = profiles(graphs, modalities, max_tokens)
    findings = [
        finding
        for id, model in models.items()
        for finding in lint(id, model, tensorrt, shapes.get(id, {}))
    ]
    errors = [str(finding) for finding in findings if finding.is_error]
    if errors:
        more = f" (and {len(errors) - SHOWN} more)" if len(errors) > SHOWN else ""
        raise ExportError(
            f"TensorRT {tensorrt.min} to {tensorrt.max}.x would not take these graphs, and the "
            f"bundle was not written: {'. '.join(errors[:SHOWN])}{more}"
        )
    scripts = {
        str(major): (f"finalize/tensorrt-{major}.sh", script(graphs, shapes, major))
        for major in tensorrt.majors
    }
    build = TensorrtBuild(
        min=tensorrt.min,
        max=tensorrt.max,
        profiles=shapes,
        scripts={major: file for major, (file, _) in scripts.items()},
        warnings=tuple(str(finding) for finding in findings),
    )
    return build, {file: text.encode() for file, text in scripts.values()}


def profiles(
    graphs: Mapping[str, Graph], modalities: Mapping[str, Modality], max_tokens: int
) -> dict[str, dict[str, Profile]]:
    """Return the smallest, usual and largest shape of each input that varies, by graph and input.

    Most turns have one window of sound, and as many faces as fit. An input with a dimension that
    is none of the encoders' gets no profile.
    """
    windows, faces = (modalities[name].length or 1 for name in ("audio", "face"))
    window_samples = modalities["audio"].window_samples or HOP_SAMPLES
    sizes = {
        "tokens": (1, min(USUAL_TOKENS, max_tokens), max_tokens),
        "windows": (1, 1, windows),
        "samples": (HOP_SAMPLES, whole_hops(window_samples), whole_hops(windows * window_samples)),
        "faces": (1, faces, faces),
        "height": CROP_PIXELS,
        "width": CROP_PIXELS,
    }
    made: dict[str, dict[str, Profile]] = {id: {} for id in graphs}
    for id, graph in graphs.items():
        for tensor in graph.inputs:
            names = {size for size in tensor.shape if isinstance(size, str)}
            if names and names <= sizes.keys():
                columns = [(s,) * 3 if isinstance(s, int) else sizes[s] for s in tensor.shape]
                least, usual, most = zip(*columns, strict=True)
                made[id][tensor.name] = Profile(min=least, opt=usual, max=most)
    return made


def script(graphs: Mapping[str, Graph], profiles: Profiles, major: int) -> str:
    """Return a shell script that builds all engines with one major version of TensorRT."""
    lines = [
        "#!/bin/sh",
        f"# Builds this bundle's engines with TensorRT {major}.x, into the folder named, or",
        "# engines/. dcet-finalize does the same, and checks what was built, as this does not.",
        "set -eu",
        'mkdir -p "${1:-engines}"',
        'engines=$(cd "${1:-engines}" && pwd)',
        'cd "$(dirname "$0")/.."',
    ]
    for id, graph in graphs.items():
        words = trtexec(id, graph, profiles[id], major)
        lines += ["", " \\\n  ".join([f"{words[0]} {words[1]}", *words[2:]])]
    return "\n".join(lines) + "\n"


def trtexec(id: str, graph: Graph, profiles: Mapping[str, Profile], major: int) -> list[str]:
    """Return the words of the command that builds an engine of a graph into `$engines`."""
    words = ["trtexec", f"--onnx={graph.file}", f'--saveEngine="$engines"/{id}.plan']
    for kind in ("min", "opt", "max") if profiles else ():
        shapes = (
            f"{name}:{'x'.join(map(str, getattr(profile, kind)))}"
            for name, profile in profiles.items()
        )
        words.append(f"--{kind}Shapes={','.join(shapes)}")
    if major < 11:
        words.append("--stronglyTyped")  # TensorRT 11 knows nothing else
    # TF32 has 10 bits of mantissa: too few for the audio front end, and for an fp32 graph's bound.
    return [*words, "--noTF32", '--timingCacheFile="$engines"/timing.cache', "--skipInference"]
