"""How text is cleaned before it is tokenised, the same in training and in every conversation."""

import unicodedata

# Windows-1252 puts printable characters where Unicode has C1 controls; MELD's transcripts hold such
# leftovers (U+0092 for an apostrophe). Five of the 32 code points are unassigned and are dropped.
_WINDOWS_1252 = {
    code: bytes([code]).decode("cp1252", errors="ignore") or None for code in range(0x80, 0xA0)
}
# BERT's vocabularies know straight punctuation; curly quotes would split words differently.
_STRAIGHT = str.maketrans("‘’‚“”„", "'''\"\"\"")


def normalise_text(text: str) -> str:
    """Map Windows-1252 leftovers to Unicode, straighten quotes, compose (NFC), fold white space."""
    text = unicodedata.normalize("NFC", text.translate(_WINDOWS_1252)).translate(_STRAIGHT)
    return " ".join(text.split())
