"""The Python of the documentation runs, block after block, as a reader would type it."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "index.md", DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_run(page: Path) -> None:
    block = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
    blocks = block.findall(page.read_text(encoding="utf-8"))
    assert blocks
    names: dict[str, object] = {}
    for code in blocks:
        exec(compile(code, str(page), "exec"), names)  # noqa: S102
