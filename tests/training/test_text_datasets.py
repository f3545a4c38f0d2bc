"""Sentences that are made of sentences."""

from pathlib import Path

import pytest
import torch

from dcet.runtime.errors import DataError
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.text import normalise_text
from dcet.training.encoders.text_datasets import CorruptedTexts, PlainTexts, read_lines

TEXTS = [
    "I am so happy!",
    "You are not really fine.",
    "Wow",
    "Oh.",
    "...",
    "It's the rain, isn't it?",
]
LABELS = torch.tensor([3, 4, 6, 4, 4, 5])
ROWS = torch.arange(len(TEXTS)).repeat(200)


def test_texts_are_varied_and_never_empty() -> None:
    torch.manual_seed(0)
    texts, target = CorruptedTexts(TEXTS).batch(ROWS)
    assert target is None
    assert all(text == normalise_text(text) != "" for text in texts)
    assert len(set(texts)) > 300
    words = {word.strip(".,!?").lower() for text in TEXTS for word in text.split()}
    made = {word.strip(".,!?").lower() for text in texts for word in text.split()}
    assert made - {""} <= words | {word.replace("'", "") for word in words}


def test_only_what_was_left_whole_keeps_its_label() -> None:
    torch.manual_seed(0)
    texts, target = CorruptedTexts(TEXTS, LABELS).batch(ROWS)
    assert target is not None
    labelled = target.sum(dim=1) == 1
    assert 0.2 < labelled.float().mean() < 0.4
    assert not target[~labelled].any()
    assert torch.equal(target[labelled].argmax(dim=1), LABELS[ROWS[labelled]])
    for row, text in enumerate(texts):
        if labelled[row]:
            assert text == TEXTS[int(ROWS[row])]


def test_the_noise_is_the_seeds() -> None:
    torch.manual_seed(3)
    one = CorruptedTexts(TEXTS).batch(ROWS)[0]
    torch.manual_seed(3)
    assert CorruptedTexts(TEXTS).batch(ROWS)[0] == one
    assert CorruptedTexts(TEXTS).batch(ROWS)[0] != one


def test_plain_texts_lose_a_word_in_ten_at_most_all_but_one() -> None:
    torch.manual_seed(0)
    texts, target = PlainTexts(TEXTS, LABELS).batch(ROWS)
    before = [TEXTS[row].split() for row in ROWS.tolist()]
    after = [text.split() for text in texts]
    assert all(after)
    long = [(b, a) for b, a in zip(before, after, strict=True) if len(b) > 3]
    lost = 1 - sum(len(a) for _, a in long) / sum(len(b) for b, _ in long)
    assert lost == pytest.approx(0.1, abs=0.03)
    assert torch.allclose(target.sum(dim=1), torch.ones(len(ROWS)))
    assert torch.equal(target.argmax(dim=1), LABELS[ROWS])
    assert target.shape[1] == len(EMOTIONS)


def test_lines_are_read_clean(tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_bytes(b"\xef\xbb\xbf  so\t happy \r\n\r\n it\xc2\x92s me\n")
    assert read_lines(file) == ["so happy", "it's me"]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "empty file"), (b"\xff\xfe\x00", "UTF-8"), (None, "text file")]
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "lines.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_lines(file)
    assert str(file) in str(caught.value)
