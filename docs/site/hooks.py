"""Hooks of MkDocs: pages that lie outside `docs/` join the site, and their links stay right there.

In the repository a link is relative to its file, as GitHub shows it. On the site, a link to a page
points to that page, and one to a file of code becomes plain text. The examples in the help of
commands become code: mkdocs-click hands them over as a paragraph.
"""

import posixpath
import re
import textwrap
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPO = Path(__file__).parents[2]
OUTSIDE = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "MODEL_CARD.md",
    "benchmarks/README.md",
    "quantization/README.md",
    "targets/README.md",
    "web/README.md",
)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_EXAMPLE = re.compile(r"<p>\x08?\s*(Examples?:)\n(.*?)</p>", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside `docs/` under their own paths."""
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(REPO / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links from the layout of the repository to that of the site."""
    here = page.file.src_uri
    source = here if here in OUTSIDE else f"docs/{here}"

    def pointed(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page_of = path.removeprefix("docs/") if path.startswith("docs/") else path
        if page_of not in files.src_uris:
            return words if (REPO / path).exists() else link[0]
        return f"[{words}]({posixpath.relpath(page_of, posixpath.dirname(here) or '.')}{anchor})"

    return _LINK.sub(pointed, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Set the examples of commands as code, line by line."""

    def coded(example: re.Match[str]) -> str:
        return f"<p>{example[1]}</p>\n<pre><code>{textwrap.dedent(example[2])}</code></pre>"

    return _EXAMPLE.sub(coded, html)
