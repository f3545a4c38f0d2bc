"""Text is cleaned alike in training and in every conversation."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from dcet.runtime.senses.text import normalise_text, share_known


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
        ("hi\x1fthere\x1c", "hi there"),  # white space to Python, and not to other languages
        ("hi\ufeffthere", "hi\ufeffthere"),  # the other way round
        ("\x81 ", ""),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
)
def test_text_as_it_should_be(text: str, clean: str) -> None:
    assert normalise_text(text) == clean


@given(st.text())
def test_clean_text_is_clean_already(text: str) -> None:
    clean = normalise_text(text)
    assert normalise_text(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    assert "  " not in clean


@given(st.text(st.characters(max_codepoint=0x7E, categories=("L", "N", "P", "Zs"))))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert normalise_text(text).split() == text.split()


@pytest.fixture(scope="module")
def word_piece() -> Tokenizer:
    """Knows a few English words, and letters of more scripts, as BERT's vocabularies do."""
    words = "[UNK] [CLS] [SEP] i am a happy un ##happ ##ily ! 5 高 兴".split()
    letters = [*"abcdfмыяשלם", *(f"##{letter}" for letter in "abcdefhxyмышשלם")]
    made = Tokenizer(
        models.WordPiece({word: i for i, word in enumerate(dict.fromkeys(words + letters))})
    )
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [("[CLS]", 1), ("[SEP]", 2)]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, special)
    return made


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("I am happy!", 1),
        ("unhappily", 1),
        ("a 5 !", 1),
        ("I am 😀", 2 / 3),
        ("happy happy xyz quux", 2 / 4),  # q and u are not even letters it knows
        ("I dfx", 1 / 4),  # spelt letter by letter
        ("я", 0),
        ("мы я", 0),
        ("שלם", 0),
        ("高兴", 0),
        ("😀", 0),
        ("\u200b", 0),
    ],
)
def test_the_share_of_known_words(word_piece: Tokenizer, text: str, known: float) -> None:
    assert share_known(word_piece.encode(text)) == pytest.approx(known)
