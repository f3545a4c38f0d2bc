"""Dialogues with their text features, as written and as a speech recogniser would have them."""

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from dcet.training.augment.text_errors import misheard
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import Example, examples
from dcet.training.network.text_batches import encode_tokens
from dcet.training.saved.checkpoint import Checkpoint

WORD_ERROR_RATES = (0.0, 0.15, 0.35)


@dataclass(frozen=True, slots=True)
class EncodedDialogues:
    """Dialogues and their text features at every word error rate, on the CPU."""

    items: list[Example]
    features: list[Tensor]  # for each dialogue (len(WORD_ERROR_RATES), T, text_width)


@torch.inference_mode()
def encode_dialogues(base: Checkpoint, corpus: Corpus, seed: int) -> EncodedDialogues:
    """Encode every utterance at every word error rate."""
    base.model.eval()
    random = Random(seed)
    turns = corpus.turns
    words = [word for turn in turns for word in turn.text.split()]
    variants = []
    for rate in WORD_ERROR_RATES:
        texts = [misheard(turn.text, rate, words, random) for turn in turns]
        ids = [tuple(encoding.ids) for encoding in base.tokenizer.encode_batch(texts)]
        variants.append(encode_tokens(base.model, ids).cpu())
    items = examples(corpus, base.tokenizer)
    lengths = [len(item.emotion) for item in items]
    features = torch.stack(variants).split(lengths, dim=1)
    return EncodedDialogues(items, [part.clone() for part in features])
