"""The figures of a checkpoint or an encoder on a corpus."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.data.answers import Answer, LastAnswers, dialogue_figures, is_usable
from dcet.data.metrics import emotion_metrics
from dcet.runtime.errors import ConfigError, DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.registry import MODALITY_OF, NEVER_THERE, folder_of
from dcet.training.corpora.speech import earlier_voice, read_speech
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.dialogue.utterances import read_texts
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import encoder_run
from dcet.training.saved.checkpoint import Checkpoint, load

AT_ONCE = 256


def evaluate(
    name: str,
    corpus: str,
    data: Path,
    *,
    split: str = "dev",
    left_out: Collection[str] = (),
    reset_memory: bool = False,
) -> dict[str, Any]:
    """Figures of `default`, a checkpoint, or a run; see `evaluate_meld` and `evaluate_sense`.

    Raises CheckpointError, ConfigError or DataError.
    """
    modality = MODALITY_OF[corpus]
    if modality != "text":
        if reset_memory:
            raise ConfigError(f"--reset-memory: {corpus} has no conversations to remember")
        model = encoder_run.find_encoder(name, modality).model
        assert not isinstance(model, TextClassifier)
        return evaluate_sense(model, corpus, folder_of(data, corpus), split, left_out=left_out)
    if left_out:
        raise ConfigError("--leave-out: conversations are judged on all seven emotions")
    csv = data if data.is_file() else folder_of(data, corpus) / f"{split}_sent_emo.csv"
    if name != "default" and encoder_run.kind_of(Path(name)) == "encoder":
        run = encoder_run.find_encoder(name, modality)
        assert isinstance(run.model, TextClassifier)
        assert run.tokenizer is not None
        return evaluate_texts(run.model, run.tokenizer, Corpus.read(csv))
    return evaluate_meld(load(name), csv, remember=not reset_memory)


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
        turns, predictions.probabilities, predictions.sentiment, predictions.shift, strict=True
    )
    return {turn.row: Answer(*answer) for turn, *answer in rows}


@torch.inference_mode()
def evaluate_texts(model: TextClassifier, tokenizer: Tokenizer, corpus: Corpus) -> dict[str, Any]:
    """Figures on utterances, each on its own."""
    turns = [turn for dialogue in corpus.dialogues for turn in dialogue.turns]
    model.eval()
    logits = model.head(read_texts(model, tokenizer, [turn.text for turn in turns]))
    return decisions(logits, torch.tensor([turn.emotion for turn in turns]), set())


@torch.inference_mode()
def evaluate_sense(
    model: AudioEncoder | FaceEncoder,
    corpus: str,
    folder: Path,
    split: str,
    *,
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Figures on single clips or faces of `corpus`, which lies in `folder`.

    A voice is known by what the same speaker said in earlier clips, never by later ones. Emotions
    that the corpus does not have, and those `left_out`, are no possible answer; clips and faces of
    an emotion that is left out are not counted.
    """
    model.eval()
    if isinstance(model, AudioEncoder):
        speech = read_speech(corpus, folder, split)
        voice = earlier_voice(speech)
        parts = zip(speech.level.split(AT_ONCE), voice.split(AT_ONCE), strict=True)
        features = torch.cat([model.encode(*part) for part in parts])
        emotion = speech.emotion
    else:
        faces = read_ferplus(folder, split)
        features = torch.cat([model.encode(part.float()) for part in faces.grey.split(AT_ONCE)])
        emotion = faces.emotion
    impossible = {*NEVER_THERE.get(corpus, ()), *left_out}
    return decisions(model.head(features), emotion, impossible)


def decisions(logits: Tensor, emotion: Tensor, impossible: Collection[str]) -> dict[str, Any]:
    """Figures of (n, 7) logits on (n,) labels where some emotions are no answer and not counted."""
    excluded = torch.tensor([name in impossible for name in EMOTIONS])
    counted = ~excluded[emotion]
    if not counted.any():
        raise DataError(f"nothing is left to judge without {', '.join(sorted(impossible))}")
    probabilities = logits[counted].masked_fill(excluded, -torch.inf).softmax(dim=-1)
    return emotion_metrics(emotion[counted].numpy(), probabilities.numpy())
