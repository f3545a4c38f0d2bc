"""The figures of a checkpoint on a corpus."""

from pathlib import Path
from typing import Any

from dcet.runtime.metrics import conversation_metrics
from dcet.training.batches import examples
from dcet.training.checkpoint import Checkpoint
from dcet.training.corpus import Corpus
from dcet.training.forward import predict


def evaluate_meld(
    checkpoint: Checkpoint, csv: Path, prosody: Path | None = None, *, remember: bool = True
) -> dict[str, Any]:
    """Figures as `dcet.runtime.metrics.conversation_metrics` gives them.

    Without `prosody` the model reads text alone. `remember=False` resets the memory before every
    turn.
    """
    corpus = Corpus.read(csv, prosody=prosody)
    predictions = predict(
        checkpoint.model,
        examples(corpus, checkpoint.tokenizer),
        remember=remember,
    )
    return conversation_metrics(
        corpus.dialogues, predictions.probabilities, predictions.sentiment, predictions.shift
    )
