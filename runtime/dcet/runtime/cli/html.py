"""The frame of an HTML page that needs no other file."""

from collections.abc import Iterable
from html import escape


def html_page(title: str, css: str, sections: Iterable[str]) -> str:
    """Make a page of sections that are HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )
