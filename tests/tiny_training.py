"""Encoders of a few kilobytes and a small corpus in MELD's format, for tests of training."""

import csv
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from dcet.runtime.labels import EMOTIONS
from dcet.training.dialogue.fit import FitConfig
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.network.model import ModelConfig
from dcet.training.network.speech_detector import SpeechConfig, SpeechDetector
from dcet.training.saved.checkpoint import Checkpoint, from_encoder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FELT = ("angry", "gross", "scared", "happy", "fine", "sad", "wow")  # a word for each emotion
FILLERS = ("i", "am", "so", "you", "are", "we", "it", "is", "that", "not", "really", "now")
VOCABULARY = (
    *SPECIAL,
    *("[unused0]", "[unused1]"),
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *("!", "?", ".", ",", "'"),
    *FILLERS[1:],  # "i" is a letter already
    *FELT,
    *("##ly", "##ed", "sun", "##shine", "rain"),
)
COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
SENTIMENTS = {"joy": "positive", "neutral": "neutral", "surprise": "positive"}

E = TypeVar("E", AudioEncoder, FaceEncoder)
TINY = ModelConfig(
    audio_length=3,
    face_width=5,
    face_length=3,
    width=16,
    layers=1,
    heads=2,
    speaker_tokens=2,
    scene_tokens=2,
    speaker_ring=2,
    scene_ring=3,
    episodes=2,
)


def wordpiece(words: Sequence[str] = VOCABULARY) -> Tokenizer:
    """A WordPiece tokenizer as BERT's."""
    vocabulary = {word: place for place, word in enumerate(words)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=40))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(list(SPECIAL))
    return made


def write_bert(folder: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """A BERT with random weights, 24 wide."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=160,
        initializer_range=0.1,  # so that words differ before any training
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    backbone = BertModel(config)
    nn.Module.to(backbone, dtype)  # transformers wraps its own in a way that has no types
    return _write(folder, backbone, wordpiece(), special)


def write_roberta(folder: Path) -> Path:
    """A RoBERTa with random weights, 16 wide, with a byte-level tokenizer that nothing can cut."""
    torch.manual_seed(0)
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([" ".join(FELT + FILLERS)] * 4, trainer)
    made.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", None, [("<s>", 0), ("</s>", 2)]
    )
    config = RobertaConfig(
        vocab_size=made.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=160,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.3,
    )
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    return _write(folder, RobertaModel(config), made, names)


def _write(
    folder: Path, backbone: PreTrainedModel, tokenizer: Tokenizer, special: dict[str, str]
) -> Path:
    backbone.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a CSV in MELD's format."""

    text: str
    speaker: str
    emotion: str
    dialogue: int
    position: int

    @property
    def cells(self) -> tuple[str | int, ...]:
        sentiment = SENTIMENTS.get(self.emotion, "negative")
        return self.text, self.speaker, self.emotion, sentiment, self.dialogue, self.position


def lines(dialogues: int, seed: int) -> list[Line]:
    """Dialogues of two to eight turns by up to three speakers, who say what they feel."""
    rng, made = np.random.default_rng(seed), []
    for dialogue in range(dialogues):
        for position in range(int(rng.integers(2, 9))):
            feeling = int(rng.integers(len(EMOTIONS)))
            words = [str(word) for word in rng.choice(FILLERS, int(rng.integers(1, 3)))]
            words.insert(int(rng.integers(len(words) + 1)), FELT[feeling])
            speaker = str(rng.choice(("Ada", "Ben", "Cleo")))
            made.append(Line(" ".join(words), speaker, EMOTIONS[feeling], dialogue, position))
    return made


def write_csv(path: Path, rows: Sequence[Line]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *(row.cells for row in rows)])
    return path


def write_meld(folder: Path) -> Path:
    """A train split of 24 dialogues and a dev split of 8."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, dialogues, seed in (("train", 24, 1), ("dev", 8, 2)):
        write_csv(folder / f"{split}_sent_emo.csv", lines(dialogues, seed))
    return folder


def tiny_config(meld: Path, encoder: Path, **changes: object) -> FitConfig:
    """A run of a second or two."""
    options: dict[str, object] = {
        "meld": str(meld),
        "text_encoder": str(encoder),
        "epochs": 2,
        "dialogues_per_batch": 6,
        "vocabulary": 75,
        "model": TINY,
        "licences": {"corpus": "Apache-2.0"},
    }
    return FitConfig(**(options | changes))  # type: ignore[arg-type]


def untrained(encoder: Path) -> Checkpoint:
    """A checkpoint whose weights are random, but large enough to make a difference."""
    torch.manual_seed(0)
    model, tokenizer = from_encoder(str(encoder), TINY)
    with torch.no_grad():
        for parameter in model.step.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return Checkpoint(
        model=model.eval(),
        tokenizer=tokenizer,
        metrics={"dev": {"n": 0}},
        trained=("text",),
        licences={"code": "Apache-2.0"},
    )


@torch.no_grad()
def at_random(encoder: E, seed: int) -> E:
    """Draw the weights of an encoder, large enough that what is heard and seen makes a
    difference, and its statistics."""
    torch.manual_seed(seed)
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
            if layer.bias is not None:
                nn.init.uniform_(layer.bias, -0.1, 0.1)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            for values in (layer.weight.data, layer.running_var):
                nn.init.normal_(values, 1.0, 0.2).clamp_(0.2)
            for values in (layer.bias.data, layer.running_mean):
                nn.init.normal_(values, 0.0, 0.2)
    return encoder


def with_senses(checkpoint: Checkpoint) -> Checkpoint:
    """The same with an audio and a face encoder, small and random down to their statistics, and a
    speech detector to which what is loud is a voice."""
    model, channels = checkpoint.model, (4, 8, 64)
    audio = AudioConfig(channels=channels, width=TINY.audio_width)
    face = FaceConfig(channels=channels, width=TINY.face_width)
    model.audio = at_random(AudioEncoder(audio), seed=2)
    model.face = at_random(FaceEncoder(face), seed=3)
    torch.manual_seed(0)
    for head in model.step.fusion.direct.values():
        assert isinstance(head, nn.Linear)
        nn.init.normal_(head.weight, 0.0, 0.02)  # of features that are far larger than trained ones
    model.speech = loudness_detector()
    model.eval()
    return dataclasses.replace(checkpoint, trained=("text", "audio", "face"))


@torch.no_grad()
def loudness_detector() -> SpeechDetector:
    """A detector that calls a hop voiced where its bands are louder than -57 dB on average."""
    torch.manual_seed(0)
    detector = SpeechDetector(SpeechConfig(dilations=(1, 2)))
    stem, head = detector.stem.conv.weight, detector.head
    assert head.bias is not None
    for mix in detector.mixes:  # heard, and without effect
        assert isinstance(mix, nn.Conv1d)
        nn.init.zeros_(mix.weight)
        assert mix.bias is not None
        nn.init.zeros_(mix.bias)
    nn.init.zeros_(stem)
    stem[0, :, -1] = 1 / stem.shape[1]
    nn.init.zeros_(head.weight)
    head.weight[0, 0] = 20
    nn.init.constant_(head.bias, -2)
    return detector.eval()


class Recorder:
    """Progress that is kept for the test to look at."""

    def __init__(self) -> None:
        self.updates: list[str] = []
        self.said: list[str] = []

    def advance(self, done: int, total: int, message: str) -> None:
        self.updates.append(message)

    def say(self, message: str) -> None:
        self.said.append(message)


class Quiet:
    """Progress that is shown nowhere."""

    def advance(self, done: int, total: int, message: str) -> None:
        pass

    def say(self, message: str) -> None:
        pass


quiet = Quiet()


class Killed(BaseException):
    """Stands for a signal: no handler of an Exception sees it."""


class KillIn(Quiet):
    """Progress that ends the run in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def advance(self, done: int, total: int, message: str) -> None:
        if message.startswith(f"epoch {self.epoch} loss"):
            raise Killed
