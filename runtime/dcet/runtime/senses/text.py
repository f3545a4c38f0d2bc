"""Cleans text before it is tokenised, the same in training and in every conversation."""

import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

UNKNOWN = "[UNK]"

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


def count_tokens(tokenizer: "Tokenizer", text: str) -> int:
    """Count the tokens of a text of any length, without [CLS] and the like."""
    tokens = tokenizer.encode(text, add_special_tokens=False)
    return sum(len(part.ids) for part in (tokens, *tokens.overflowing))


def share_known(encoding: "Encoding") -> float:
    """Return the share of a text's tokens, but [CLS] and the like, that belong to known words.

    A word is unknown where a token of it is, and where it is spelt letter by letter, or is a lone
    letter outside ASCII: WordPiece vocabularies hold the letters of scripts of which they know no
    word.
    """
    known = total = 0
    words = zip(encoding.word_ids, encoding.tokens, strict=True)
    for word, group in groupby(words, key=lambda pair: pair[0]):
        if word is None:
            continue
        pieces = [token.removeprefix("##") for _, token in group]
        is_spelt = all(len(piece) == 1 for piece in pieces)
        is_plain = len(pieces) == 1 and pieces[0].isascii()
        total += len(pieces)
        if UNKNOWN not in pieces and (is_plain or not is_spelt):
            known += len(pieces)
    return known / total if total else 0.0
