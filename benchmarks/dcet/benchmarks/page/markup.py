"""The repeated pieces of the reports' HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from dcet.benchmarks.identity import BundleIdentity, EngineIdentity
from dcet.runtime.cli.html import html_page


def whole_page(title: str, sections: Iterable[str]) -> str:
    """Make one HTML file that needs nothing else."""
    css = files("dcet.benchmarks.page").joinpath("report.css").read_text(encoding="utf-8")
    return html_page(title, css, sections)


def card(title: str, body: str, note: str = "") -> str:
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    footer = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<div class="card">{heading}{body}{footer}</div>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Explain the colours of a plot: (style, name)."""
    items = (f'<span><i class="{style}"></i>{escape(name)}</span>' for style, name in entries)
    return f'<div class="legend">{"".join(items)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table whose first column holds names, and the others figures."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def measured_with(bundle: BundleIdentity, engine: EngineIdentity, others: Mapping[str, str]) -> str:
    """Say at the end of a page what was measured, and with what; `others` add to it, or replace."""
    rows = {
        "Bundle": f"{bundle.file}, target {bundle.target}",
        "Graphs": bundle.precisions,
        "Manifest SHA-256": bundle.sha256,
        "Engine": f"{engine.name}: {engine.reason}",
        **others,
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    return f"<h2>Measured with</h2>{card('', f'<dl>{items}</dl>')}"
