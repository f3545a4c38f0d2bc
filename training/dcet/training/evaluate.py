"""The figures of a checkpoint or an encoder on a corpus."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from dcet.data.answers import Answer, LastAnswers, dialogue_figures, is_usable
from dcet.runtime.errors import ConfigError
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import MODALITY_OF, NEVER_THERE, folder_of
from dcet.training.corpora.speech import read_speech
from dcet.training.device import CPU
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.encoders.judging import judge_faces, judge_speech, judge_texts
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import encoder_run
from dcet.training.saved.checkpoint import Checkpoint, load


def evaluate(
    name: str,
    corpus: str,
    data: Path,
    *,
    split: str = "dev",
    left_out: Collection[str] = (),
    reset_memory: bool = False,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Return the figures of `default`, a checkpoint or a run on a split of a corpus.

    `data` is the corpus's folder or the one that holds it; of MELD, a CSV file too. Raises
    CheckpointError, ConfigError or DataError.
    """
    modality = MODALITY_OF[corpus]
    if modality != "text":
        if reset_memory:
            raise ConfigError(f"--reset-memory: {corpus} has no conversations to remember")
        model = encoder_run.find_encoder(name, modality).model.to(device)
        assert isinstance(model, AudioEncoder | FaceEncoder)
        return evaluate_encoder(model, corpus, folder_of(data, corpus), split, left_out=left_out)
    if left_out:
        raise ConfigError("--leave-out: conversations are judged on all seven emotions")
    csv = data if data.is_file() else folder_of(data, corpus) / f"{split}_sent_emo.csv"
    if name != "default" and encoder_run.kind_of(Path(name)) == "encoder":
        run = encoder_run.find_encoder(name, modality)
        assert isinstance(run.model, TextClassifier)
        assert run.tokenizer is not None
        return judge_texts(run.model.to(device), run.tokenizer, Corpus.read(csv))
    return evaluate_meld(load(name, device), csv, remember=not reset_memory)


def evaluate_meld(checkpoint: Checkpoint, csv: Path, *, remember: bool = True) -> dict[str, Any]:
    """Return figures on conversations, as `dcet.data.answers.dialogue_figures` gives them.

    The model is given text alone. `remember=False` resets the memory before every turn.
    """
    corpus = Corpus.read(csv)
    unusable = [
        turn
        for dialogue in corpus.dialogues
        for turn in dialogue.turns
        if not is_usable(checkpoint.tokenizer, turn.text)
    ]
    made = _answers(checkpoint, corpus.without(unusable), remember=remember)
    known = []
    for dialogue in corpus.dialogues:
        last = LastAnswers()
        for turn in dialogue.turns:
            known.append(last.after(turn.speaker, made.get(turn.row)))
    return dialogue_figures(csv, corpus.dialogues, known, unusable)


def _answers(checkpoint: Checkpoint, corpus: Corpus, *, remember: bool) -> dict[int, Answer]:
    """Return the model's answer to every turn, by the turn's row."""
    if not corpus.dialogues:
        return {}
    predictions = predict(
        checkpoint.model, examples(corpus, checkpoint.tokenizer), remember=remember
    )
    turns = [turn for dialogue in corpus.dialogues for turn in dialogue.turns]
    rows = zip(
        turns,
        predictions.probabilities,
        predictions.sentiment,
        predictions.shift,
        predictions.confidence,
        strict=True,
    )
    return {turn.row: Answer(*answer) for turn, *answer in rows}


def evaluate_encoder(
    model: AudioEncoder | FaceEncoder,
    corpus: str,
    folder: Path,
    split: str,
    *,
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Return figures on single clips or faces of `corpus`, which lies in `folder`.

    Emotions that the corpus does not have, and those `left_out`, are no possible answer; clips and
    faces of an emotion that is left out are not counted.
    """
    impossible = {*NEVER_THERE.get(corpus, ()), *left_out}
    if isinstance(model, AudioEncoder):
        return judge_speech(model, read_speech(corpus, folder, split), impossible)
    return judge_faces(model, read_ferplus(folder, split), impossible)
