"""An extension of Griffe: lines `name: what it is` of a docstring become a list.

Docstrings of DCET describe what types cannot say as such lines, continued by indented ones:

    path: where it lies
    audio: PCM as int16, float32 or float64 in [-1, 1];
        other rates than 16 kHz need the extra `audio`
"""

import re
from typing import Any

from griffe import Extension, Object

_FIELD = re.compile(r"^([a-z_][\w, ]*): (.+)$")


class Fields(Extension):
    """Rewrites docstrings before mkdocstrings renders them."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Turn paragraphs of fields into Markdown lists."""
        if obj.docstring is not None:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(_as_list, paragraphs))


def _as_list(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if not lines or not _FIELD.match(lines[0]):
        return paragraph
    items: list[str] = []
    for line in lines:
        if field := _FIELD.match(line):
            names = ", ".join(f"`{name.strip()}`" for name in field[1].split(","))
            items.append(f"- {names}: {field[2]}")
        elif line.startswith("    "):
            items[-1] += f" {line.strip()}"
        else:
            return paragraph
    return "\n".join(items)
