"""A vocabulary that is cut spells what it did, and knows what it knew."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from torch import nn

from dcet.training.network.vocabulary import FixedVocabulary, prune_vocabulary
from tests.tiny_training import FELT, LETTERS, SPECIAL, VOCABULARY, wordpiece

KEPT = ["I am so happy, really!", "sunshine"]
SMALLEST = len(SPECIAL) + 2 * len(LETTERS)  # and a few marks and words


def embeddings() -> nn.Embedding:
    """Row i is (i, i, i)."""
    made = nn.Embedding(len(VOCABULARY), 3)
    with torch.no_grad():
        made.weight.copy_(torch.arange(len(VOCABULARY))[:, None].expand(-1, 3))
    return made


def cut(size: int = 70, tokenizer: Tokenizer | None = None) -> tuple[Tokenizer, nn.Embedding]:
    return prune_vocabulary(tokenizer or wordpiece(), embeddings(), size, KEPT)


def test_rows_follow_their_words() -> None:
    smaller, rows = cut()
    words = smaller.get_vocab()
    assert len(words) == rows.num_embeddings == 70 < len(VOCABULARY)
    assert sorted(words.values()) == list(range(70))
    for word, place in words.items():
        assert rows.weight[place].tolist() == [VOCABULARY.index(word)] * 3


@pytest.mark.parametrize("text", KEPT)
def test_kept_texts_are_spelt_as_before(text: str) -> None:
    full, (smaller, _) = wordpiece(), cut(SMALLEST)
    assert smaller.encode(text).tokens == full.encode(text).tokens
    assert "[UNK]" not in smaller.encode(text).tokens


def test_what_was_dropped_is_spelt_out_of_pieces() -> None:
    smaller, _ = cut(SMALLEST)
    assert "angry" not in smaller.get_vocab()
    assert smaller.encode("angry").tokens == "[CLS] a ##n ##g ##r ##y [SEP]".split()


@settings(max_examples=60)
@given(
    st.text(st.sampled_from(LETTERS + "éß日 !?.,'[]#"), max_size=30)
    | st.lists(st.sampled_from([*FELT, "sunshine", "rainly", "[MASK]", "[unused0]"])).map(" ".join)
)
def test_nothing_becomes_unknown(text: str) -> None:
    full, (smaller, _) = wordpiece(), cut(SMALLEST)
    before, after = (t.encode(text).tokens.count("[UNK]") for t in (full, smaller))
    assert after <= before


def test_the_most_frequent_words_fill_the_room() -> None:
    smaller, _ = cut(len(VOCABULARY) - 6)
    dropped = set(VOCABULARY) - set(smaller.get_vocab())
    # "sun" and "##shine" spell a text that is kept; words that are never used go first.
    assert dropped == {"[unused0]", "[unused1]", "rain", "##ed", "##ly", "wow"}


@pytest.mark.parametrize("kind", ["TemplateProcessing", "BertProcessing"])
def test_special_tokens_keep_their_places_in_a_sentence(kind: str) -> None:
    spec = json.loads(wordpiece().to_str())
    # As in BERT's own file, words that are dropped come before [CLS].
    words = ["[PAD]", "[unused0]", "[unused1]", *SPECIAL[1:]]
    words += [word for word in VOCABULARY if word not in words]
    ids = {word: place for place, word in enumerate(words)}
    spec["model"]["vocab"] = ids
    for token in spec["added_tokens"]:
        token["id"] = ids[token["content"]]
    if kind == "BertProcessing":
        ends = {end: [f"[{end.upper()}]", ids[f"[{end.upper()}]"]] for end in ("sep", "cls")}
        spec["post_processor"] = {"type": kind, **ends}
    else:
        for name, special in spec["post_processor"]["special_tokens"].items():
            special["ids"] = [ids[name]]
    smaller, _ = cut(tokenizer=Tokenizer.from_str(json.dumps(spec)))
    encoding = smaller.encode("so happy")
    assert encoding.ids == [smaller.token_to_id(word) for word in encoding.tokens]
    assert encoding.tokens == ["[CLS]", "so", "happy", "[SEP]"]
    assert smaller.token_to_id("[CLS]") == 2
    assert smaller.encode("[MASK]").ids[1] == smaller.token_to_id("[MASK]")


def test_a_token_that_was_added_later_stays() -> None:
    tokenizer = wordpiece(VOCABULARY[:-1])
    tokenizer.add_tokens(["<laughs>"])
    smaller, rows = cut(tokenizer=tokenizer)
    place = smaller.token_to_id("<laughs>")
    assert smaller.encode("so <laughs>").ids[2] == place
    assert rows.weight[place].tolist() == [len(VOCABULARY) - 1] * 3


def test_truncation_survives() -> None:
    tokenizer = wordpiece()
    tokenizer.enable_truncation(6)
    assert len(cut(tokenizer=tokenizer)[0].encode("a b c d e f g h").ids) == 6


def test_only_word_pieces_can_be_cut() -> None:
    with pytest.raises(FixedVocabulary, match=r"BPE tokenizer cannot be cut, only WordPiece's$"):
        prune_vocabulary(Tokenizer(models.BPE()), embeddings(), 70, KEPT)
