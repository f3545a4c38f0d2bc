"""Smaller vocabularies: half of a small encoder's weights are embeddings of words it rarely meets.

Only WordPiece vocabularies can be cut this way: every single character stays, so that a word that
is dropped is split into smaller pieces and nothing becomes unknown that was known before.
"""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from torch import nn

from dcet.runtime.errors import ConfigError


class FixedVocabulary(ConfigError):
    """A vocabulary cannot be cut."""


def prune_vocabulary(
    tokenizer: Tokenizer, embeddings: nn.Embedding, size: int, keep: Iterable[str]
) -> tuple[Tokenizer, nn.Embedding]:
    """Cut a tokenizer and its embeddings (V, d) to `size` words.

    Special tokens, single characters and the tokens of the texts in `keep` stay; the rest of the
    room goes to the words with the lowest ids, which in BERT's vocabularies are the most frequent.
    Raises FixedVocabulary.
    """
    spec = json.loads(tokenizer.to_str())
    if spec["model"]["type"] != "WordPiece":
        raise FixedVocabulary(
            f"the vocabulary of a {spec['model']['type']} tokenizer cannot be cut, only WordPiece's"
        )
    words = tokenizer.get_vocab()  # with added tokens, which need not be in the model's own
    wanted = {token["content"] for token in spec["added_tokens"]}
    wanted |= {word for word in words if len(word.removeprefix("##")) == 1}
    wanted |= {
        token for encoding in tokenizer.encode_batch(list(keep)) for token in encoding.tokens
    }
    for word in sorted(words, key=words.__getitem__):
        if len(wanted) >= size:
            break
        if not word.startswith("[unused"):
            wanted.add(word)
    kept = sorted(wanted & set(words), key=words.__getitem__)
    spec["model"]["vocab"] = {word: place for place, word in enumerate(kept)}
    for token in spec["added_tokens"]:
        token["id"] = spec["model"]["vocab"][token["content"]]
    post_processor = spec["post_processor"] or {}
    for special in post_processor.get("special_tokens", {}).values():
        special["ids"] = [spec["model"]["vocab"][token] for token in special["tokens"]]
    for end in {"cls", "sep"} & post_processor.keys():  # of BertProcessing
        post_processor[end][1] = spec["model"]["vocab"][post_processor[end][0]]
    smaller = nn.Embedding(len(kept), embeddings.embedding_dim)
    with torch.no_grad():
        smaller.weight.copy_(embeddings.weight[[words[word] for word in kept]])
    return Tokenizer.from_str(json.dumps(spec)), smaller
