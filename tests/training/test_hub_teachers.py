"""Hugging Face models are asked as they were trained to be asked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    Wav2Vec2FeatureExtractor,
)

from dcet.runtime.labels import EMOTIONS
from dcet.training.encoders.datasets import AudioBatch
from dcet.training.encoders.hub_teachers import (
    PictureTeacher,
    TextTeacher,
    WaveformTeacher,
    emotion_places,
    sounding,
    standardised,
)
from tests.tiny_senses import HUB_LABELS, tone, write_bert_classifier, write_resnet, write_wav2vec2

ORDER = [
    HUB_LABELS.index(name) for name in "angry disgust fearful happy neutral sad surprised".split()
]
BF16 = 0.05  # what bf16 costs on logits of about 1


def test_emotions_are_found_under_their_usual_names() -> None:
    def places(
        labels: Sequence[str], architecture: str = "BertForSequenceClassification"
    ) -> object:
        config = PretrainedConfig(id2label=dict(enumerate(labels)), architectures=[architecture])
        return emotion_places(config)

    assert places(HUB_LABELS) == ORDER
    assert places(EMOTIONS) == list(range(7))
    assert places(EMOTIONS[1:]) is None
    assert places(EMOTIONS, "BertModel") is None  # its labels are there, its head is not
    assert emotion_places(PretrainedConfig()) is None


def test_text_is_read_by_the_models_own_tokenizer(tmp_path: Path) -> None:
    folder = write_bert_classifier(tmp_path / "bert")
    texts = ["so happy", "i am really not that sad", "wow"] * 8  # more than one group
    answer = TextTeacher(str(folder))(texts)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    encoded = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**encoded, output_hidden_states=True)
    mask = encoded["attention_mask"][..., None]
    pooled = (outputs.hidden_states[-1] * mask).sum(1) / mask.sum(1)
    assert answer.logits is not None
    assert torch.allclose(answer.logits, outputs.logits[:, ORDER], atol=BF16)
    assert torch.allclose(answer.features, pooled, atol=BF16)


def test_sound_is_normalised_as_by_its_feature_extractor(tmp_path: Path) -> None:
    clips = [tone(300, 1.0), tone(500, 3.0) * 0.1]
    pcm = torch.zeros(2, 48_000)
    for row, clip in zip(pcm, clips, strict=True):
        row[: len(clip)] = torch.from_numpy(clip)
    prepared = Wav2Vec2FeatureExtractor(return_attention_mask=True)(
        clips, sampling_rate=16_000, padding=True, return_tensors="pt"
    )
    mask = sounding(pcm)
    assert torch.equal(mask.long(), prepared["attention_mask"].long())
    assert torch.allclose(standardised(pcm, mask), prepared["input_values"], atol=1e-3)
    folder = write_wav2vec2(tmp_path / "teacher")
    model = AutoModelForAudioClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(**prepared).logits[:, ORDER]
    answer = WaveformTeacher(str(folder))(AudioBatch(torch.empty(0), torch.empty(0), pcm))
    assert answer.logits is not None
    assert torch.allclose(answer.logits, expected, atol=BF16)


def test_silence_stays_finite() -> None:
    silence = torch.zeros(1, 48_000)
    assert not standardised(silence, sounding(silence)).any()


def test_pictures_are_shown_in_the_models_own_range(tmp_path: Path) -> None:
    folder = write_resnet(tmp_path / "teacher")
    teacher = PictureTeacher(str(folder))
    assert (teacher.side, teacher.width) == (64, 16)
    grey = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 48, 48))).float()
    pixels = torch.nn.functional.interpolate(grey[:, None] / 255, (64, 64), mode="bilinear")
    pixels = torch.cat([(pixels - m) / s for m, s in ((0.4, 0.2), (0.5, 0.25), (0.6, 0.3))], dim=1)
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = model(pixels).logits[:, ORDER]
    logits = teacher(grey).logits
    assert logits is not None
    assert torch.allclose(logits, expected, atol=BF16)


@pytest.mark.parametrize("kind", ["wav2vec2", "resnet"])
def test_without_the_seven_emotions_there_are_features_alone(tmp_path: Path, kind: str) -> None:
    if kind == "wav2vec2":
        folder = write_wav2vec2(tmp_path / "teacher", emotions=False)
        pcm = torch.randn(2, 48_000)
        answer = WaveformTeacher(str(folder))(AudioBatch(pcm, pcm, pcm))
    else:
        folder = write_resnet(tmp_path / "teacher", emotions=False)
        answer = PictureTeacher(str(folder))(torch.rand(2, 48, 48) * 255)
    assert answer.logits is None
    assert answer.features.shape == (2, 16)
