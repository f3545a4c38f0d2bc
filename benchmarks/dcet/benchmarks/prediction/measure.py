"""The prediction of a turn on a device, from its graphs and the device's published figures.

The same predictor is checked on this machine, whose peaks are measured in the same run.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.prediction.peaks import better, measure_roof
from dcet.benchmarks.prediction.roofline import Prediction, Roof, predict
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import FACE_SIDE, FACES, TOKENS
from dcet.benchmarks.stats import Summary, summarise
from dcet.runtime import Bundle
from dcet.runtime.arrays import WINDOW_SAMPLES, whole_hops
from dcet.runtime.bundle.manifest import Graph
from dcet.runtime.engines.threads import THREADS
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.targets import Device, PowerMode, Target, load_target

if TYPE_CHECKING:
    from dcet.quantization import GraphCost

PREDICT_SCHEMA = "dcet-bench/predict/1"
KIND = "predicted, not measured"
LAUNCH_US = 5.0  # of a kernel on a device: about what TensorRT needs on a Jetson's processor
WARM_UP_RUNS = 20
REST_S = 0.02  # for the threads of whoever ran last to go to sleep

ASSUMPTIONS = (
    "A kernel takes as long as its arithmetic at the device's peak, or its bytes at its bandwidth.",
    f"Starting a kernel takes {LAUNCH_US:g} µs, and kernels run one after the other.",
    "An operator and the element-wise ones that follow it are one kernel.",
    "What passes between two kernels is written to memory and read again: no cache is counted on.",
    "Arithmetic is int8 where both factors come out of DequantizeLinear.",
    "A power mode scales the peaks of arithmetic, and not the bandwidth.",
    "Energy is all of the power mode's watts for the predicted time.",
    "What the host does before and between the graphs is not counted.",
)


@dataclass(frozen=True, kw_only=True)
class PredictSettings:
    target: str
    power_mode: str | None = None  # None: the first of the device, that of its peak figures
    engine: str = "auto"  # on this machine
    repeats: int = 200


@dataclass(frozen=True, kw_only=True)
class Work:
    """The cost of one run of a graph, on any machine."""

    precision: str
    flops: Mapping[str, int]  # by the type of the arithmetic
    weight_bytes: int
    activation_bytes: int
    kernels: int


@dataclass(frozen=True, kw_only=True)
class Here:
    """A graph on this machine, measured and predicted."""

    threads: int
    roof: Roof  # measured, but for the launch
    prediction: Prediction
    measured_ms: Summary

    @property
    def ratio(self) -> float:
        """The median time divided by the limit."""
        return self.measured_ms.p50 / self.prediction.limit_ms

    @property
    def error(self) -> float:
        """The prediction's error, as a share of what was measured."""
        return self.prediction.latency_ms / self.measured_ms.p50 - 1


@dataclass(frozen=True, kw_only=True)
class GraphReport:
    name: str
    work: Work
    there: Prediction
    energy_mj: float
    here: Here

    @property
    def as_far_as_here_ms(self) -> float:
        """The time there, if its engine misses the prediction as this one does here."""
        return self.there.latency_ms * self.here.measured_ms.p50 / self.here.prediction.latency_ms


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    target: str
    device: Device
    power_mode: PowerMode
    deadline_ms: float
    launch_us: float
    notes: tuple[str, ...]  # why the bundle may not be what runs there
    sizes: Mapping[str, int]  # of the turn, by the graphs' names for them
    settings: PredictSettings
    engine: EngineIdentity
    machine: Machine
    graphs: tuple[GraphReport, ...]

    @property
    def turn_ms(self) -> float:
        return sum(graph.there.latency_ms for graph in self.graphs)

    @property
    def turn_as_far_as_here_ms(self) -> float:
        return sum(graph.as_far_as_here_ms for graph in self.graphs)

    @property
    def turn_energy_mj(self) -> float:
        return sum(graph.energy_mj for graph in self.graphs)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, with what follows from the figures."""
        report = asdict(self)
        report["turn"] = {
            "kind": KIND,
            "latency_ms": self.turn_ms,
            "as_far_as_here_ms": self.turn_as_far_as_here_ms,
            "energy_mj": self.turn_energy_mj,
        }
        for row, graph in zip(report["graphs"], self.graphs, strict=True):
            row["there"] |= {"kind": KIND, **_times(graph.there)}
            row["there"] |= {
                "as_far_as_here_ms": graph.as_far_as_here_ms,
                "energy_mj": row.pop("energy_mj"),
            }
            row["here"]["prediction"] |= _times(graph.here.prediction)
            row["here"] |= {"ratio": graph.here.ratio, "error": graph.here.error}
        return {"schema": PREDICT_SCHEMA, "assumptions": list(ASSUMPTIONS), **report}


def _times(prediction: Prediction) -> dict[str, float]:
    return {"limit_ms": prediction.limit_ms, "latency_ms": prediction.latency_ms}


def predict_bundle(bundle: Bundle, settings: PredictSettings, track: Track) -> PredictReport:
    """Count the cost of every graph, predict it for the target, then predict and measure it here.

    Raises UnknownTarget or TargetError, ConfigError for a target without figures of a device, a
    power mode that it has not, or an engine that does not run on this machine's processor;
    CostError for a graph that cannot be counted, MissingExtra without onnx or torch.
    """
    target = load_target(settings.target)
    device, mode = _device(target), _power_mode(target, settings.power_mode)
    machine = read_machine()
    engine = identify_engine(bundle, settings.engine)
    if not engine.name.endswith("-cpu"):
        raise ConfigError(
            f"engine: expected one that runs on the processor, whose peaks are measured here, got "
            f"{engine.name}; name one, such as --engine onnxruntime"
        )
    tokens = min(TOKENS, bundle.manifest.tokenizer.max_tokens)
    sizes = {"tokens": tokens, "windows": 1, "faces": FACES, "height": FACE_SIDE}
    sizes |= {"width": FACE_SIDE, "samples": whole_hops(WINDOW_SAMPLES)}
    roof = _roof(device, mode)
    reports = []
    for name in track(list(bundle.manifest.graphs), "graphs"):
        cost = _count(bundle, name, sizes)
        there = predict(cost.kernels, roof)
        reports.append(
            GraphReport(
                name=name,
                work=Work(
                    precision=bundle.manifest.graphs[name].precision,
                    flops=dict(cost.flops),
                    weight_bytes=cost.weight_bytes,
                    activation_bytes=cost.activation_bytes,
                    kernels=len(cost.kernels),
                ),
                there=there,
                energy_mj=mode.watts * there.latency_ms,
                here=_measure(bundle, name, cost, sizes, settings, machine.cores),
            )
        )
    return PredictReport(
        created=now(),
        bundle=identify_bundle(bundle),
        target=target.name,
        device=device,
        power_mode=mode,
        deadline_ms=target.deadline_ms,
        launch_us=LAUNCH_US,
        notes=tuple(_notes(bundle, target)),
        sizes=sizes,
        settings=settings,
        engine=engine,
        machine=machine,
        graphs=tuple(reports),
    )


def _device(target: Target) -> Device:
    if target.device is None:
        raise ConfigError(
            f"target {target.name}: expected one that states figures of a device, got one that "
            "stands for any machine; name a device, such as jetson-orin-nano"
        )
    return target.device


def _power_mode(target: Target, name: str | None) -> PowerMode:
    modes = {mode.name: mode for mode in _device(target).power_modes}
    if name is None:
        return next(iter(modes.values()))
    if name not in modes:
        near = get_close_matches(name, modes) or list(modes)
        raise ConfigError(
            f"power mode: {target.name} has no {name!r}; did you mean {' or '.join(near)}?"
        )
    return modes[name]


def _roof(device: Device, mode: PowerMode) -> Roof:
    bytes_per_s = device.bandwidth_gb_per_s * 1e9
    peaks = {
        "int8": device.peak_int8_tops,
        "fp16": device.peak_fp16_tflops,
        "fp32": device.peak_fp32_tflops,
    }
    return Roof(
        flops_per_s={kind: mode.scale * peak * 1e12 for kind, peak in peaks.items()},
        weight_bytes_per_s=bytes_per_s,
        activation_bytes_per_s=bytes_per_s,
        launch_us=LAUNCH_US,
    )


def _notes(bundle: Bundle, target: Target) -> list[str]:
    others = [
        f"{name} ({graph.precision}, not {target.precision_of(name)})"
        for name, graph in bundle.manifest.graphs.items()
        if graph.precision != target.precision_of(name)
    ]
    if not others:
        return []
    missed = f"This is not what {target.name} asks for: {', '.join(others)}"
    return [f"{missed}. Make a bundle for it: dcet-export --target {target.name}"]


def _count(bundle: Bundle, name: str, sizes: Mapping[str, int]) -> "GraphCost":
    onnx = need("onnx", extra="export")
    from dcet.quantization import graph_cost  # onnx is not on every device that measures latency

    return graph_cost(onnx.load_from_string(bundle.read(bundle.manifest.graphs[name].file)), sizes)


def _measure(
    bundle: Bundle,
    name: str,
    cost: "GraphCost",
    sizes: Mapping[str, int],
    settings: PredictSettings,
    cores: int,
) -> Here:
    """Run the graph back to back, between two measurements of the peaks."""
    threads = THREADS.get(name) or cores
    engine, inputs = (
        bundle.engine(settings.engine),
        some_inputs(bundle.manifest.graphs[name], sizes),
    )
    # Processors compute in float32 what a graph says in float16, unless an engine chooses.
    float_type = engine.float_type(name)
    roofs = []
    samples: list[float] = []
    for runs in (settings.repeats, 0):
        roofs.append(
            measure_roof(
                threads=threads,
                arithmetic={float_type, *(kind for kind in cost.flops if kind == "int8")},
                weight_bytes=cost.weight_bytes,
                activation_bytes=cost.largest_activation_bytes,
            )
        )
        time.sleep(REST_S)
        for run in range(-WARM_UP_RUNS if runs else 0, runs):
            started = time.perf_counter()
            engine.run(name, inputs)
            if run >= 0:
                samples.append((time.perf_counter() - started) * 1000)
    roof = better(*roofs)
    return Here(
        threads=threads,
        roof=roof,
        prediction=predict(cost.kernels, roof, float_type=float_type),
        measured_ms=summarise(samples),
    )


def some_inputs(graph: Graph, sizes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Make inputs of ones, valid as tokens and as masks: latency does not depend on them."""
    return {
        tensor.name: np.ones([_size(size, sizes) for size in tensor.shape], np.dtype(tensor.dtype))
        for tensor in graph.inputs
    }


def _size(size: int | str, sizes: Mapping[str, int]) -> int:
    return size if isinstance(size, int) else sizes[size]
