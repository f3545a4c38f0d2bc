"""`dcet-export`: a checkpoint becomes a verified bundle."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dcet.data.turns import read_turns
from dcet.export.names import file_name, name_of
from dcet.runtime.bundle.manifest import Manifest, Parity
from dcet.runtime.cli.command import Command
from dcet.runtime.cli.options import FiniteRange, json_option
from dcet.runtime.cli.output import STDOUT, output_json, show_status
from dcet.runtime.cli.paths import is_lost, why_no_file, why_no_folder
from dcet.runtime.errors import WriteError
from dcet.runtime.extras import need
from dcet.targets import Device, Target, list_targets, load_target
from dcet.training.saved.shipped import SHIPPED, folder_of

if TYPE_CHECKING:
    from dcet.export.int8_bound import Bound

REPOSITORY_FILES = "*/config.pbtxt"  # what tells a model repository from other folders
PRECISIONS = ("fp32", "fp16", "int8")


@click.command(cls=Command)
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Target of the bundle: a name from --list-targets, or a .toml file. May be repeated: "
    "bundles share what is equal in them.",
)
@click.option(
    "--model",
    "--checkpoint",
    "model",
    help="One that ships with DCET, `default` or `large`, or the folder of a checkpoint or a run "
    "(./large, if that is its name)  [default: default]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The bundle to write or, for several targets, the folder to write them into  "
    "[default: NAME-TARGET.dcet, with what --precision or --budget-ms asks for; where --budget-ms "
    "tries several models, NAME is dcet]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Precision of every graph  [default: the target's]. fp16 halves the bytes; arithmetic is "
    "fp16 too where the target says so. With int8 the step, which would gain nothing, is fp16.",
)
@click.option(
    "--quantizer",
    type=click.Choice(["nncf", "onnxruntime"]),
    help="Quantiser of int8 graphs  [default: the target's]",
)
@click.option(
    "--max-drop",
    type=FiniteRange(min=0),
    default=0.005,
    show_default=True,
    help="Weighted F1 that int8 may cost on the calibration turns; layers go back to float until "
    "it holds.",
)
@click.option(
    "--budget-ms",
    type=FiniteRange(min=0, min_open=True),
    help="Search precisions, students, faces and seconds of audio for the most accurate bundle of "
    "which the fullest turn takes no longer on this machine (p95).",
)
@click.option(
    "--student",
    "students",
    multiple=True,
    help="With --budget-ms: a model to try, as in --model; repeatable  [default: --model, or all "
    "that ship]",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of labelled turns to calibrate int8 with and to measure accuracy on  "
    "[default: the set that ships]",
)
@click.option(
    "--corpora",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with ferplus/, ravdess/ and crema_d/: measure what int8 costs the encoders there.",
)
@click.option("--list-targets", "is_list", is_flag=True, help="Show the targets and exit.")
@json_option("Write the result as JSON")
def main(
    targets: tuple[str, ...],
    model: str | None,
    output: Path | None,
    precision: str | None,
    quantizer: Literal["nncf", "onnxruntime"] | None,
    max_drop: float,
    budget_ms: float | None,
    students: tuple[str, ...],
    calibration: Path | None,
    corpora: Path | None,
    is_list: bool,
    json_path: Path | None,
) -> None:
    """Export a model to a bundle that is checked against torch before it is written.

    \b
    Examples:
      dcet-export --target openvino-cpu --output companion.dcet
      dcet-export --target jetson --target web --output bundles
      dcet-export --target openvino-cpu --budget-ms 20
      dcet-export --target jetson --model large
    """
    if is_list:
        _show_targets(json_path)
        return
    rows = _load_targets(targets)
    if budget_ms is not None and (len(rows) > 1 or rows[0].layout != "bundle"):
        raise click.UsageError("--budget-ms is for one --target, and one of bundles")
    if quantizer is not None:
        rows = [dataclasses.replace(row, quantizer=quantizer) for row in rows]
    students = _students(model, students, budget_ms)
    asked = precision if budget_ms is None else f"{budget_ms:g}ms"
    outputs = _outputs(output, rows, [file_name(students, row, asked) for row in rows])
    _check_inputs(outputs, rows, [*targets, *map(folder_of, students), calibration, corpora])

    for package in ("onnx", "onnxscript", "openvino", "torch", "transformers"):
        need(package, extra="export")
    # torch takes seconds: only when asked for
    from dcet.export.budget_view import search_and_show
    from dcet.export.exporter import in_precision
    from dcet.export.int8_bound import Bound

    turns = None if calibration is None else read_turns(calibration)
    bound = Bound(turns=turns, max_drop=max_drop, corpora=corpora)
    if budget_ms is not None:
        precisions = PRECISIONS if precision is None else (precision,)
        search_and_show(students, rows[0], precisions, bound, budget_ms, outputs[0], json_path)
        return
    if precision is not None:
        rows = [in_precision(row, precision) for row in rows]
    results = []
    for result in _export(students[0], rows, outputs, bound):
        results.append(result)
        if json_path != STDOUT:
            _show_result(result)
    output_json(json_path, results[0] if len(results) == 1 else results)


def _students(
    model: str | None, students: tuple[str, ...], budget_ms: float | None
) -> tuple[str, ...]:
    """Return the models to try, one without a budget."""
    if students and budget_ms is None:
        raise click.UsageError("--student is for --budget-ms")
    if model is None and budget_ms is not None:
        return students or SHIPPED
    return students or (SHIPPED[0] if model is None else model,)


def _export(
    checkpoint: str, targets: Sequence[Target], outputs: Sequence[Path], bound: "Bound"
) -> Iterator[dict[str, Any]]:
    """Write each bundle or repository, and yield what is reported of it."""
    from dcet.export.exporter import Exporter
    from dcet.export.triton import export_repository
    from dcet.training.saved.checkpoint import load

    with show_status() as status:
        status("checkpoint")
        exporter = Exporter(load(checkpoint), name_of(checkpoint), bound=bound)
    for target, path in zip(targets, outputs, strict=True):
        with show_status() as status:  # not while the result is printed, which it would redirect
            exporter.progress = partial(_tell, status, target.name)
            if target.layout == "triton":
                parity = export_repository(exporter, target, path)
                result = _repository_result(target, path, parity)
            else:
                result = _result(exporter.write_verified(target, path), path)
        yield result


def _tell(status: Callable[[str], None], target: str, message: str) -> None:
    status(f"{target}: {message}")


def _load_targets(names: Sequence[str]) -> list[Target]:
    """Load each target once. Raises TargetError."""
    if not names:
        raise click.UsageError("name a --target; see dcet-export --list-targets")
    return list({target.name: target for target in map(load_target, names)}.values())


def _outputs(output: Path | None, targets: Sequence[Target], files: Sequence[str]) -> list[Path]:
    """Return where each bundle or repository goes, once it is known that it can be written there.

    The folder of several is made.
    """
    if len(files) == 1:
        paths = [output or Path(files[0])]
    else:
        folder = output or Path()
        if message := why_no_folder(folder):
            raise click.UsageError(f"--output: for {len(files)} targets: {message}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"could not make the folder {folder}: {error.strerror}; choose another place"
            ) from error
        paths = [folder / file for file in files]
    for path, target in zip(paths, targets, strict=True):
        is_file = target.layout == "bundle"
        message = why_no_file(path) if is_file else why_no_folder(path, replaces=REPOSITORY_FILES)
        if message is not None:
            raise click.UsageError(f"--output: for target {target.name}: {message}")
    return paths


def _check_inputs(
    outputs: Sequence[Path], targets: Sequence[Target], inputs: Sequence[str | Path | None]
) -> None:
    """Raise UsageError for an output that would take the place of an input."""
    for output, target in zip(outputs, targets, strict=True):
        for source in inputs:
            if source is not None and is_lost(
                Path(source), output, replaced=target.layout != "bundle"
            ):
                raise click.UsageError(
                    f"--output: {output} would take the place of {source}, which is read; "
                    "name another"
                )


def _show_targets(json_path: Path | None) -> None:
    targets = list_targets()
    output_json(json_path, {target.name: dataclasses.asdict(target) for target in targets})
    if json_path is not None:
        return
    for target in targets:
        click.echo("\n".join(_describe(target)) + "\n")


def _describe(target: Target) -> Iterator[str]:
    """Yield a target as lines for a person."""
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


def _repository_result(target: Target, output: Path, parity: tuple[Parity, ...]) -> dict[str, Any]:
    """Return what is reported of a model repository."""
    graphs = {path.parts[-3].removeprefix("dcet_"): path for path in output.glob("*/1/model.onnx")}
    return {
        "repository": str(output),
        "target": target.name,
        "size_bytes": sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
        "graphs": {
            id: {"precision": target.precision_of(id), "size_bytes": path.stat().st_size}
            for id, path in sorted(graphs.items())
        },
        "parity": _worst(parity),
        "warnings": [],
    }


def _worst(parity: tuple[Parity, ...]) -> dict[str, float]:
    """Return the largest difference of each engine from torch."""
    return {
        engine: max(row.max_abs_probability for row in parity if row.engine == engine)
        for engine in dict.fromkeys(row.engine for row in parity)
    }


def _result(manifest: Manifest, output: Path) -> dict[str, Any]:
    """Return what is reported of a bundle."""
    build = manifest.finalize.tensorrt if manifest.finalize is not None else None
    return {
        "bundle": str(output),
        "target": manifest.target,
        "size_bytes": output.stat().st_size,
        "graphs": {
            id: {
                "precision": graph.precision,
                "size_bytes": manifest.files[graph.file].size_bytes,
            }
            for id, graph in manifest.graphs.items()
        },
        "parity": _worst(manifest.parity),
        "quantization": manifest.to_json().get("quantization"),
        "warnings": list(build.warnings) if build is not None else [],
    }


def _show_result(result: dict[str, Any]) -> None:
    place = result.get("bundle") or result["repository"]
    click.echo(f"{place}  {result['size_bytes'] / 1e6:.1f} MB, target {result['target']}")
    for id, graph in result["graphs"].items():
        click.echo(f"  graph {id}: {graph['size_bytes'] / 1e6:.1f} MB, {graph['precision']}")
    for engine, difference in result["parity"].items():
        click.echo(f"  {engine}: largest difference from torch {difference:.1e}")
    if found := result.get("quantization"):
        for line in _describe_int8(found):
            click.echo(f"  {line}")
    for warning in result["warnings"]:
        click.echo(f"  warning: {warning}")


def _describe_int8(found: dict[str, Any]) -> Iterator[str]:
    """Yield what int8 costs as lines for a person."""
    layers, kept = (
        sum(count(graph) for graph in found["graphs"].values())
        for count in (lambda graph: graph["layers"], lambda graph: len(graph["kept"]))
    )
    turns, same = found["calibration"]["turns"], found["label_agreement"]
    yield (
        f"int8 by {found['quantizer']}: weighted F1 {found['before']:.4f} → {found['after']:.4f} "
        f"of {turns} turns, {same:.1%} the same emotion; {kept} of {layers} layers in float"
    )
    for name, cost in (found.get("corpora") or {}).items():
        yield (
            f"int8 on {name}: accuracy {cost['before']:.4f} → {cost['after']:.4f} of "
            f"{cost['items']} ({cost['graph']} encoder)"
        )


if __name__ == "__main__":
    main()
