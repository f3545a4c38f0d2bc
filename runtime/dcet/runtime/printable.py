"""Text of a stranger, made safe to print: terminals obey control characters."""


def printable(text: str) -> str:
    """Escape what is not printable but for line breaks, as `repr` does: ESC becomes \\x1b."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character == "\n"
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
