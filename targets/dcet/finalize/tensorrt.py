"""Build a plan of each graph with TensorRT's Python API, 10 or 11."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.manifest import Profile
from dcet.runtime.engines.tensorrt import load_tensorrt, make_logger
from dcet.runtime.errors import EngineError
from dcet.runtime.files import atomic_path

TIMINGS = "tensorrt.timings"  # of kernels on this device; TensorRT refuses those of another


def build(bundle: Bundle, folder: Path, kept: Path) -> None:
    """Write `GRAPH.plan` of each graph into `folder`.

    Raises EngineError with TensorRT's own words where it cannot read or build a graph.
    """
    tensorrt = load_tensorrt()
    finalize = bundle.manifest.finalize
    profiles = finalize.tensorrt.profiles if finalize and finalize.tensorrt else {}
    for id, graph in bundle.manifest.graphs.items():
        started = time.perf_counter()
        timings = kept / TIMINGS
        plan = _build(bundle.read(graph.file), graph.file, profiles.get(id, {}), tensorrt, timings)
        (folder / f"{id}.plan").write_bytes(plan)
        _say(f"{id}: {len(plan)} bytes in {time.perf_counter() - started:.1f} s")


def _build(
    data: bytes, file: str, profiles: Mapping[str, Profile], tensorrt: Any, timings: Path
) -> bytes:
    said: list[str] = []

    def tell(message: str) -> None:
        said.append(message)
        _say(message)

    logger = make_logger(tensorrt, tensorrt.Logger.WARNING, tell)
    builder = tensorrt.Builder(logger)
    # Precision is in the graph. TensorRT 11 knows nothing else, and ignores this flag.
    strongly_typed = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(data):
        errors = [str(parser.get_error(place)) for place in range(parser.num_errors)]
        raise EngineError(
            f"{file}: TensorRT {tensorrt.__version__} cannot read it: {'; '.join(errors)}"
        )
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # too coarse for the tolerance of fp32
    if profiles:
        shapes = builder.create_optimization_profile()
        for name, profile in profiles.items():
            shapes.set_shape(name, profile.min, profile.opt, profile.max)
        config.add_optimization_profile(shapes)
    cache = config.create_timing_cache(timings.read_bytes() if timings.exists() else b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(
            f"{file}: TensorRT {tensorrt.__version__} cannot build it: "
            f"{'; '.join(said[-5:]) or 'it does not say why'}"
        )
    with atomic_path(timings) as temporary:
        temporary.write_bytes(bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
