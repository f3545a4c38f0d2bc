"""`dcet-export`: a checkpoint becomes a verified bundle."""

import dataclasses
import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from dcet.runtime.cli import handle_errors
from dcet.runtime.extras import need
from dcet.runtime.manifest import Manifest
from dcet.targets import list_targets, load_target


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
    type=click.Choice(["fp32", "fp16"]),
    help="Of the weights in every graph  [default: the target's]. With fp16 they are stored in "
    "half the bytes; arithmetic stays fp32.",
)
@click.option("--list-targets", "is_list", is_flag=True, help="Show the targets and leave.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@handle_errors
def main(
    target: str | None,
    checkpoint: str,
    output: Path | None,
    precision: str | None,
    is_list: bool,
    as_json: bool,
) -> None:
    """Export a checkpoint to a bundle that is checked against torch before it is written.

    \b
    Example:
      dcet-export --target openvino-cpu --output companion.dcet
    """
    if is_list:
        _show_targets(as_json)
        return
    if target is None:
        raise click.UsageError("name a --target; see dcet-export --list-targets")
    row = load_target(target)
    if precision is not None:
        row = dataclasses.replace(row, precision=dict.fromkeys(row.precision, precision))

    for package in ("onnx", "onnxscript", "openvino", "torch", "transformers"):
        need(package, extra="export")
    from dcet.export.bundle import export_bundle  # torch takes seconds: only when asked for
    from dcet.training.checkpoint import load

    name = "dcet-default" if checkpoint == "default" else Path(checkpoint).resolve().name
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
        click.echo(json.dumps({target.name: target.description for target in targets}, indent=2))
        return
    table = Table("target", "engines", "precision", "what it is")
    for target in targets:
        precision = ", ".join(f"{graph} {kind}" for graph, kind in target.precision.items())
        table.add_row(target.name, " → ".join(target.engines), precision, target.description)
    Console().print(table)


def _show_result(manifest: Manifest, output: Path, as_json: bool) -> None:
    worst = {
        engine: max(row.max_abs_probability for row in manifest.parity if row.engine == engine)
        for engine in dict.fromkeys(row.engine for row in manifest.parity)
    }
    size_bytes = output.stat().st_size
    sizes_bytes = {
        id: manifest.files[graph.file].size_bytes for id, graph in manifest.graphs.items()
    }
    if as_json:
        result = {
            "bundle": str(output),
            "size_bytes": size_bytes,
            "graphs": {
                id: {"precision": graph.precision, "size_bytes": sizes_bytes[id]}
                for id, graph in manifest.graphs.items()
            },
            "parity": worst,
        }
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(f"{output}  {size_bytes / 1e6:.1f} MB, target {manifest.target}")
    for id, graph in manifest.graphs.items():
        click.echo(f"  graph {id}: {sizes_bytes[id] / 1e6:.1f} MB, {graph.precision}")
    for engine, difference in worst.items():
        click.echo(f"  {engine}: largest difference from torch {difference:.1e}")


if __name__ == "__main__":
    main()
