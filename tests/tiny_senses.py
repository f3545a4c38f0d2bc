"""Voices, faces and Hugging Face models of a few kilobytes, for tests of training."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from transformers import (
    AutoConfig,
    BertForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)

from dcet.runtime.labels import EMOTIONS
from tests.tiny_training import write_bert

ACTED = tuple(emotion for emotion in EMOTIONS if emotion != "surprise")  # in CREMA-D
VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
VOTE_OF = {"joy": "happiness"}
SHAPE = {"channels": [4, 4, 8], "width": 16, "dropout": 0.0}  # of AudioConfig and FaceConfig
HUB_LABELS = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")


def write_senses(folder: Path) -> Path:
    """CREMA-D, RAVDESS and FER+ in the layout of the real ones, of two speakers in each split."""
    write_crema_d(folder / "crema_d")
    write_ravdess(folder / "ravdess")
    write_ferplus(folder / "ferplus")
    return folder


def write_table(file: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_crema_d(folder: Path) -> None:
    """Each emotion has a band of its own."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    steps = []
    for speaker, split in enumerate(("train", "train", "dev", "dev")):
        for emotion in ACTED * 2:
            steps.append(draw.integers(0, 20, (64, 94)))
            steps[-1][8 * EMOTIONS.index(emotion) :][:8] += 40
            steps[-1][:, 60:] = 0  # a clip of two seconds
            steps[-1][0, 0] = 64  # the clip's own maximum
            rows.append({"row": len(rows), "speaker": speaker, "label": emotion, "split": split})
    np.savez_compressed(folder / "logmel64x94.npz", x=np.array(steps, np.uint8))
    write_table(folder / "labels.csv", rows)


def write_ravdess(folder: Path) -> None:
    """Each emotion has a tone of its own."""
    folder.mkdir(parents=True)
    rows = []
    for speaker, split in enumerate(("train", "train", "dev", "dev")):
        for number, emotion in enumerate(EMOTIONS):
            file = f"{speaker}-{number}.flac"
            soundfile.write(
                folder / file, tone(200 * 2 ** (number / 2), 0.6 + 0.1 * speaker), 16_000
            )
            rows.append({"file": file, "speaker": speaker, "label": emotion, "split": split})
    write_table(folder / "labels.csv", rows)


def tone(hz: float, seconds: float) -> np.ndarray:
    """(n,) with a little noise."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    noise = np.random.default_rng(int(hz)).normal(0, 0.003, len(time))
    return (0.3 * np.sin(2 * np.pi * hz * time) + noise).astype(np.float32)


def write_ferplus(folder: Path) -> None:
    """Each emotion has a bar at a height of its own."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    mosaic = np.zeros((4 * 48, 7 * 48), np.uint8)
    for row, split in enumerate(("train", "train", "train", "dev")):
        for column, emotion in enumerate(EMOTIONS):
            face = draw.integers(0, 60, (48, 48))
            face[6 * column : 6 * column + 8] += 150
            mosaic[48 * row : 48 * row + 48, 48 * column : 48 * column + 48] = face
            votes: dict[str, object] = dict.fromkeys(VOTES, 0)
            votes |= {VOTE_OF.get(emotion, emotion): 8, "neutral": 9 if emotion == "neutral" else 2}
            place = {"mosaic": "faces.png", "row": row, "col": column}
            rows.append({**place, "split": split, "label": emotion, **votes})
    cv2.imwrite(str(folder / "faces.png"), mosaic)
    write_table(folder / "labels.csv", rows)


def write_bert_classifier(folder: Path) -> Path:
    """The BERT of `tiny_training`, that classifies."""
    config = AutoConfig.from_pretrained(write_bert(folder))
    config.id2label = dict(enumerate(HUB_LABELS))
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def write_wav2vec2(folder: Path, *, emotions: bool = True) -> Path:
    """One layer, 16 wide, random weights."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_kernel=(40, 16),
        conv_stride=(40, 20),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        id2label=dict(enumerate(HUB_LABELS)),
    )
    kind = Wav2Vec2ForSequenceClassification if emotions else Wav2Vec2Model
    kind(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return folder


def write_resnet(folder: Path, *, emotions: bool = True) -> Path:
    """Two stages, 16 wide, random weights, with the settings of its pictures."""
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(HUB_LABELS)) if emotions else {0: "cat", 1: "dog"},
    )
    kind = ResNetForImageClassification if emotions else ResNetModel
    kind(config).save_pretrained(folder)
    settings = {
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.25, 0.3],
        "size": {"shortest_edge": 64},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
