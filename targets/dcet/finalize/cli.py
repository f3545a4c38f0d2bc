"""`dcet-finalize`: build on this device what runs a bundle best, and check it."""

from dataclasses import asdict
from pathlib import Path

import click

from dcet.finalize.fallback import MAX_TIMEOUT_S, Finalized, finalize
from dcet.runtime.cli.command import Command
from dcet.runtime.cli.options import FiniteRange, json_option
from dcet.runtime.cli.output import STDOUT, output_json


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Fail unless the target's first engine works.")
@click.option("--engine", help="Try this engine and no other  [default: all of the target's].")
@click.option(
    "--timeout-s",
    type=FiniteRange(min=0, min_open=True, max=MAX_TIMEOUT_S),
    default=3600,
    show_default=True,
    help="Time limit for each engine. TensorRT takes minutes on a small device.",
)
@json_option("Write the result as JSON")
def main(
    bundle: Path, strict: bool, engine: str | None, timeout_s: float, json_path: Path | None
) -> None:
    """Build on this device the best engine for BUNDLE that reproduces its golden sequences.

    Each engine is built and tried in a process of its own. One that fails, crashes, hangs or is
    wrong is set aside with its log, and the next one is tried.

    \b
    Example:
      dcet-finalize companion.dcet
    """
    done = finalize(
        bundle,
        engine=engine,
        strict=strict,
        timeout_s=timeout_s,
        notify=lambda message: click.echo(message, err=True),
    )
    output_json(json_path, asdict(done))
    if json_path != STDOUT:
        _show(done, "works" if engine else "runs it")


def _show(done: Finalized, what: str) -> None:
    record = done.record
    how = {
        "built": f"built in {record.build_s:.0f} s",
        "checked": "nothing to build",
        "kept": "built or checked before, and still whole",
    }[done.outcome]
    click.echo(f"{done.bundle}: {done.engine} {what} on this device ({how})")
    click.echo(f"  largest difference from torch {done.largest_difference:.1e}")
    click.echo(f"  {', '.join(f'{name} {value}' for name, value in record.platform.items())}")
    click.echo(f"  {done.folder}")
    for fallen in done.fallen:
        click.echo(f"  passed over {fallen}")


if __name__ == "__main__":
    main()
