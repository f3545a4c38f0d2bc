"""`dcet-export`: a checkpoint becomes a verified bundle."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console

from dcet.runtime.cli import handle_errors
from dcet.runtime.extras import need
from dcet.runtime.manifest import Manifest
from dcet.targets import Device, Target, list_targets, load_target

PRECISIONS = ("fp32", "fp16")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--target", help="What the bundle is for: a name of --list-targets, or a .toml file.")
@click.option(
    "--checkpoint",
    default="default",
    show_default=True,
    help="Checkpoint or run folder, or the one that ships with DCET.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The bundle to write  [default: NAME-TARGET.dcet, or NAME-TARGET-PRECISION.dcet]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Of the weights in every graph  [default: the target's]. With fp16 they are stored in "
    "half the bytes; arithmetic stays fp32.",
)
@click.option(
    "--budget-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="Search precisions, students, faces and seconds of sound for the most accurate bundle of "
    "which the fullest turn takes no longer on this machine (p95).",
)
@click.option(
    "--student",
    "students",
    multiple=True,
    help="With --budget-ms: a checkpoint to try, instead of --checkpoint; may be given again.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of labelled turns to measure accuracy on  [default: the set that ships]",
)
@click.option("--list-targets", "is_list", is_flag=True, help="Show the targets and leave.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def main(
    target: str | None,
    checkpoint: str,
    output: Path | None,
    precision: str | None,
    budget_ms: float | None,
    students: tuple[str, ...],
    calibration: Path | None,
    is_list: bool,
    as_json: bool,
) -> None:
    """Export a checkpoint to a bundle that is checked against torch before it is written.

    \b
    Example:
      dcet-export --target openvino-cpu --output companion.dcet
      dcet-export --target openvino-cpu --budget-ms 20
    """
    if is_list:
        _show_targets(as_json)
        return
    if target is None:
        raise click.UsageError("name a --target; see dcet-export --list-targets")
    row = load_target(target)
    if budget_ms is None and (students or calibration):
        raise click.UsageError("--student and --calibration are for --budget-ms")

    for package in ("onnx", "onnxscript", "openvino", "torch", "transformers"):
        need(package, extra="export")
    # torch takes seconds: only when asked for
    from dcet.export.bundle import export_bundle, in_precision, name_of
    from dcet.training.checkpoint import load

    if budget_ms is not None:
        from dcet.export.budget_view import search_and_show

        precisions = PRECISIONS if precision is None else (precision,)
        search_and_show(
            students or (checkpoint,), row, precisions, calibration, budget_ms, output, as_json
        )
        return
    if precision is not None:
        row = in_precision(row, precision)
    name = name_of(checkpoint)
    output = output or Path("-".join(filter(None, (name, row.name, precision))) + ".dcet")
    with Console(stderr=True).status("checkpoint") as status:
        manifest = export_bundle(
            load(checkpoint),
            row,
            output,
            name=name,
            progress=lambda message: status.update(message),
        )
    _show_result(manifest, output, as_json)


def _show_targets(as_json: bool) -> None:
    targets = list_targets()
    if as_json:
        rows = {target.name: dataclasses.asdict(target) for target in targets}
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for target in targets:
        click.echo("\n".join(_describe(target)) + "\n")


def _describe(target: Target) -> Iterator[str]:
    """A target as lines that a person can read."""
    default = f", and {target.family}" if target.is_family_default else ""
    yield f"{click.style(target.name, bold=True)}{default}: {target.description}"
    precision = ", ".join(f"{graph} {kind}" for graph, kind in target.precision.items())
    computed = " (computed)" if target.arithmetic == "fp16" else " (stored)"
    rows = {
        "engines": " → ".join(target.engines),
        "precision": precision.replace("fp16", f"fp16{computed}"),
        "graphs": f"opset {target.opset}, IR {target.ir_version}"
        + (", OpenVINO IR" if target.openvino_ir else ""),
        "deadline": f"{target.deadline_ms:g} ms",
    }
    if target.tensorrt is not None:
        jetpack = f", of JetPack {target.tensorrt.jetpack}" if target.tensorrt.jetpack else ""
        rows["TensorRT"] = f"{target.tensorrt.min} to {target.tensorrt.max}.x{jetpack}"
    if target.device is not None:
        rows |= _figures(target.device)
    yield from (f"  {name:<10} {row}" for name, row in rows.items())


def _figures(device: Device) -> dict[str, str]:
    def figure(key: str, text: str) -> str:
        return f"{text} (estimated)" if key in device.estimated else text

    modes = ", ".join(
        f"{mode.name} {mode.watts:g} W at {mode.scale:.0%}" for mode in device.power_modes
    )
    figures = {
        "memory_bytes": f"{device.memory_bytes / 2**30:g} GiB",
        "bandwidth_gb_per_s": f"{device.bandwidth_gb_per_s:g} GB/s",
        "peak_int8_tops": f"INT8 {device.peak_int8_tops:g} TOPS",
        "peak_fp16_tflops": f"FP16 {device.peak_fp16_tflops:g} TFLOPS",
        "peak_fp32_tflops": f"FP32 {device.peak_fp32_tflops:g} TFLOPS",
    }
    return {
        "device": device.model,
        "figures": ", ".join(figure(key, text) for key, text in figures.items()),
        "power": figure("power_modes", modes),
        "source": device.source,
    }


def _show_result(manifest: Manifest, output: Path, as_json: bool) -> None:
    worst = {
        engine: max(row.max_abs_probability for row in manifest.parity if row.engine == engine)
        for engine in dict.fromkeys(row.engine for row in manifest.parity)
    }
    size_bytes = output.stat().st_size
    sizes_bytes = {
        id: manifest.files[graph.file].size_bytes for id, graph in manifest.graphs.items()
    }
    build = manifest.finalize.tensorrt if manifest.finalize is not None else None
    warnings = build.warnings if build is not None else ()
    if as_json:
        result = {
            "bundle": str(output),
            "size_bytes": size_bytes,
            "graphs": {
                id: {"precision": graph.precision, "size_bytes": sizes_bytes[id]}
                for id, graph in manifest.graphs.items()
            },
            "parity": worst,
            "warnings": warnings,
        }
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(f"{output}  {size_bytes / 1e6:.1f} MB, target {manifest.target}")
    for id, graph in manifest.graphs.items():
        click.echo(f"  graph {id}: {sizes_bytes[id] / 1e6:.1f} MB, {graph.precision}")
    for engine, difference in worst.items():
        click.echo(f"  {engine}: largest difference from torch {difference:.1e}")
    for warning in warnings:
        click.echo(f"  warning: {warning}")


if __name__ == "__main__":
    main()
