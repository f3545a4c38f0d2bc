"""The figures of a checkpoint, or of a text encoder, on labelled text."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from dcet.data.answers import Answer, LastAnswers, dialogue_figures, is_usable
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.registry import RECOGNISERS, TALK, folder_of
from dcet.training.corpora.talk import file_of
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.encoders.judging import judge_texts
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import encoder_run
from dcet.training.saved.checkpoint import Checkpoint, load


def evaluate_text(
    name: str, corpus: str, data: Path, split: str, device: torch.device, *, remember: bool = True
) -> dict[str, Any]:
    """Return the figures of one of SHIPPED, a checkpoint or a run on a split of a corpus of text.

    Raises CheckpointError, ConfigError or DataError.
    """
    file, read = _read(corpus, data, split)
    if encoder_run.kind_of(name) == "encoder":
        run = encoder_run.find_encoder(name, "text")
        assert isinstance(run.model, TextClassifier)
        assert run.tokenizer is not None
        return judge_texts(run.model.to(device), run.tokenizer, read)
    checkpoint = load(name, device)
    figures = evaluate_dialogues(checkpoint, file, read, remember=remember)
    if corpus in TALK:
        del figures["sentiment"]  # nobody labelled it
        figures["micro_f1_without_neutral"] = micro_f1_without_neutral(figures["confusion"])
    if split == "recognised":
        figures["same_label"] = _same_label(checkpoint, corpus, file.parent)
    return figures


def evaluate_dialogues(
    checkpoint: Checkpoint, file: Path, corpus: Corpus, *, remember: bool = True
) -> dict[str, Any]:
    """Return figures on conversations, as `dcet.data.answers.dialogue_figures` gives them.

    The model is given text alone. `corpus` is what `file` holds. `remember=False` resets the memory
    before every turn.
    """
    unusable = [turn for turn in corpus.turns if not is_usable(checkpoint.tokenizer, turn.text)]
    made = _answers(checkpoint, corpus.without(unusable), remember=remember)
    known = []
    for dialogue in corpus.dialogues:
        last = LastAnswers()
        for turn in dialogue.turns:
            known.append(last.after(turn.speaker, made.get(turn.row)))
    return dialogue_figures(file, corpus.dialogues, known, unusable)


def micro_f1_without_neutral(confusion: ArrayLike) -> float:
    """Return the micro F1 of all emotions but neutral, as DailyDialog is judged by.

    confusion: (7, 7), rows are true labels
    """
    counts = np.asarray(confusion)
    others = np.arange(len(EMOTIONS)) != EMOTIONS.index("neutral")
    pairs = counts[others].sum() + counts[:, others].sum()
    return float(2 * counts.diagonal()[others].sum() / max(pairs, 1))


def _read(corpus: str, data: Path, split: str) -> tuple[Path, Corpus]:
    """Return the file of a split and what it holds."""
    if corpus in TALK:
        folder = folder_of(data, "text")
        return file_of(corpus, folder, split), Corpus.of_talk(corpus, folder, split)
    csv = data if data.is_file() else folder_of(data, corpus) / f"{split}_sent_emo.csv"
    return csv, Corpus.read(csv)


def _same_label(checkpoint: Checkpoint, corpus: str, folder: Path) -> dict[str, float]:
    """Return the share of turns that are named the same by what was said and by what each of the
    RECOGNISERS wrote."""
    labels = []
    for column in ("text", *RECOGNISERS):
        read = Corpus.of_talk(corpus, folder, "recognised", column=column)
        answers = _answers(checkpoint, read, remember=True)
        labels.append({row: answer.probabilities.argmax() for row, answer in answers.items()})
    said, *written = labels
    return {
        column: float(np.mean([said.get(row) == label for row, label in each.items()]))
        for column, each in zip(RECOGNISERS, written, strict=True)
    }


def _answers(checkpoint: Checkpoint, corpus: Corpus, *, remember: bool) -> dict[int, Answer]:
    """Return the model's answer to every turn, by the turn's row."""
    if not corpus.dialogues:
        return {}
    predictions = predict(
        checkpoint.model, examples(corpus, checkpoint.tokenizer), remember=remember
    )
    rows = zip(
        corpus.turns,
        predictions.probabilities,
        predictions.sentiment,
        predictions.shift,
        predictions.confidence,
        strict=True,
    )
    return {turn.row: Answer(*answer) for turn, *answer in rows}
