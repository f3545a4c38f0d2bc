"""Text is cleaned alike in training and in every conversation."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcet.runtime.text import normalise_text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("It\x92s", "It's"),
        ("\x93so\x94 he said\x85", '"so" he said…'),
        ("one\x97two", "one—two"),
        ("a\x81b", "ab"),  # no character in Windows-1252
        ("‘I’ “you” ‚we‘ „they“", "'I' \"you\" 'we' \"they\""),
        ("cafe\u0301", "café"),
        ("  two \t\n\u00a0 words\u2003", "two words"),
        ("\x81 ", ""),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
)
def test_text_as_it_should_be(text: str, clean: str) -> None:
    assert normalise_text(text) == clean


@settings(deadline=None)
@given(st.text())
def test_clean_text_is_clean_already(text: str) -> None:
    clean = normalise_text(text)
    assert normalise_text(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    assert "  " not in clean


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=0x7E, categories=("L", "N", "P", "Zs"))))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert normalise_text(text).split() == text.split()
