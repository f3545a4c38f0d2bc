"""A smaller vocabulary: half of a small encoder's weights are words it will hardly ever read.

Only WordPiece vocabularies can be cut this way: every single character stays, so that a word that
is dropped is spelt out of smaller pieces and nothing becomes unknown that was known before.
"""

import json
from collections.abc import Iterable

import torch
from tokenizers import Tokenizer
from torch import nn

from dcet.runtime.errors import ConfigError


def prune_vocabulary(
    tokenizer: Tokenizer, embeddings: nn.Embedding, size: int, keep: Iterable[str]
) -> tuple[Tokenizer, nn.Embedding]:
    """The tokenizer and the embeddings (V, d) cut to `size` words.

    Special tokens, single characters and whatever spells the texts in `keep` stay; the rest of the
    room goes to the words with the lowest ids, which in BERT's vocabularies are the most frequent.
    """
    spec = json.loads(tokenizer.to_str())
    if spec["model"]["type"] != "WordPiece":
        raise ConfigError(
            f"the vocabulary of a {spec['model']['type']} tokenizer cannot be cut, only WordPiece; "
            "keep all of it with --vocabulary 0"
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
