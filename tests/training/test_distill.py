"""`dcet-train distill`: students of every kind of teacher, on labelled and unlabelled media."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from dcet.runtime.errors import ConfigError, DataError
from dcet.training.corpora.corpus import Corpus
from dcet.training.encoders.distill import DistillConfig, disagreement, distill
from dcet.training.encoders.students import StudentAnswer
from dcet.training.encoders.teacher_protocol import TeacherAnswer
from dcet.training.encoders.teachers import find_teacher
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.text_classifier import TextClassifier
from dcet.training.saved import checkpoint, encoder_run
from tests.tiny_senses import SHAPE, tone, write_bert_classifier, write_resnet, write_wav2vec2
from tests.tiny_training import VOCABULARY, Killed, KillIn, quiet, untrained

CUT = {"layers": [1], "vocabulary": 75}
REFITTED = ("heads.calibration_scale", "confidence.", "shift.")


@pytest.fixture(scope="module")
def teacher(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    folder = tmp_path_factory.mktemp("teacher") / "checkpoint"
    checkpoint.save(folder, untrained(bert))
    return folder


def distillation(modality: str, teachers: list[Path], data: Path, **changes: Any) -> DistillConfig:
    """A run of a second."""
    options: dict[str, Any] = {
        "teachers": [str(teacher) for teacher in teachers],
        "student": CUT if modality == "text" else SHAPE,
        "data": str(data),
        "epochs": 2,
        "batch": 16,
        "judge_every": 2,
    }
    return DistillConfig.of(modality, **(options | changes))


def test_a_student_replaces_the_encoder_of_a_checkpoint(
    teacher: Path, data: Path, tmp_path: Path
) -> None:
    config = distillation("text", [teacher], data, corpora=["meld"], licences={"data": "CC0"})
    figures = distill(config, tmp_path / "run", quiet)
    student, before = checkpoint.load(tmp_path / "run"), checkpoint.load(teacher)
    assert student.model.text.backbone.config.num_hidden_layers == 1
    assert 75 <= student.tokenizer.get_vocab_size() < len(VOCABULARY)  # the corpus is still spelt
    assert student.licences == {"code": "Apache-2.0", "data": "CC0"}
    for name, value in before.model.step.state_dict().items():
        if not name.startswith(REFITTED):
            assert torch.equal(student.model.step.state_dict()[name], value)
    assert student.metrics == json.loads(json.dumps(figures))
    csv = data / "meld" / "dev_sent_emo.csv"
    found = evaluate_dialogues(student, csv, Corpus.read(csv))
    assert found["nll"] == pytest.approx(figures["dev"]["nll"], abs=1e-3)
    with pytest.raises(Killed):
        distill(config, tmp_path / "other", KillIn(2))
    distill(config, tmp_path / "other", quiet)
    assert checkpoint.load(tmp_path / "other").sha256 == student.sha256


def test_a_student_comes_nearer_to_its_teacher(teacher: Path, data: Path, tmp_path: Path) -> None:
    log = tmp_path / "run" / "log.jsonl"
    config = distillation("text", [teacher], data, corpora=["meld"], epochs=6, learning_rate=3e-3)
    distill(config, tmp_path / "run", quiet)
    losses = [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert losses[-1] < 0.6 * losses[0]


def test_texts_need_no_labels_and_teachers_can_be_many(
    encoders: dict[str, Path], teacher: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("so happy\n\n we are not sad\nwow, rain!\n" * 5, encoding="utf-8")
    classifier = write_bert_classifier(tmp_path / "bert")
    wider = {"encoder": str(classifier), "layers": [0]}
    config = distillation("text", [classifier, encoders["text"]], lines, student=wider)
    assert distill(config, tmp_path / "run", quiet) == {}
    run = encoder_run.load(tmp_path / "run")
    assert isinstance(run.model, TextClassifier)
    assert run.licences == {"corpus": "CC0"}
    config = distillation("text", [classifier, teacher], lines)
    assert distill(config, tmp_path / "stand-in", quiet) == {}
    assert checkpoint.load(tmp_path / "stand-in").trained == ("text",)


@pytest.mark.parametrize("kind", ["ours", "theirs", "embeddings"])
def test_audio_students(encoders: dict[str, Path], data: Path, tmp_path: Path, kind: str) -> None:
    """Ours read log-mels, so CREMA-D serves; theirs listen, so there has to be sound."""
    if kind == "ours":
        teachers, corpora = [encoders["audio"]], ["crema_d", "ravdess"]
    else:
        teachers = [write_wav2vec2(tmp_path / "teacher", emotions=kind == "theirs")]
        corpora = ["ravdess"]
    config = distillation("audio", teachers, data, corpora=corpora)
    figures = distill(config, tmp_path / "run", quiet)
    assert set(figures) == set(corpora)
    run = encoder_run.load(tmp_path / "run")
    assert run.modality == "audio"
    assert run.metrics == json.loads(json.dumps(figures))


@pytest.mark.parametrize("kind", ["ours", "theirs", "embeddings"])
def test_face_students(encoders: dict[str, Path], data: Path, tmp_path: Path, kind: str) -> None:
    teacher = encoders["face"]
    if kind != "ours":
        teacher = write_resnet(tmp_path / "teacher", emotions=kind == "theirs")
    config = distillation("face", [teacher], data, corpora=["ferplus"])
    assert set(distill(config, tmp_path / "run", quiet)) == {"ferplus"}
    assert encoder_run.load(tmp_path / "run").modality == "face"


@pytest.mark.parametrize(("modality", "corpus"), [("audio", "ravdess"), ("face", "ferplus")])
def test_a_student_goes_on_from_its_first_teacher(
    encoders: dict[str, Path], data: Path, tmp_path: Path, modality: str, corpus: str
) -> None:
    config = distillation(
        modality,
        [encoders[modality]],
        data,
        corpora=[corpus],
        student={"encoder": "teacher"},
        epochs=1,
        learning_rate=0.0,
    )
    distill(config, tmp_path / "run", quiet)
    run, teacher = encoder_run.load(tmp_path / "run"), encoder_run.load(encoders[modality])
    for (name, value), before in zip(
        run.model.named_parameters(), teacher.model.parameters(), strict=True
    ):
        assert torch.allclose(value, before, atol=1e-6), name


def test_there_is_nothing_to_go_on_from_in_a_network_of_another_kind(
    data: Path, tmp_path: Path
) -> None:
    teacher = write_resnet(tmp_path / "teacher", emotions=True)
    config = distillation(
        "face", [teacher], data, corpora=["ferplus"], student={"encoder": "teacher"}
    )
    with pytest.raises(ConfigError, match=r"of DCET's own to go on from, got .*teacher; give"):
        distill(config, tmp_path / "run", quiet)


def test_unlabelled_sounds_and_pictures(encoders: dict[str, Path], tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for number in range(3):
        soundfile.write(media / f"{number}.wav", tone(300 + 100 * number, 4.0), 16_000)
        picture = np.random.default_rng(number).integers(0, 255, (60, 70, 3), np.uint8)
        cv2.imwrite(str(media / f"{number}.png"), picture)
    waveforms = write_wav2vec2(tmp_path / "teacher")
    for modality, teachers in (
        ("audio", [encoders["audio"], waveforms]),
        ("face", [encoders["face"]]),
    ):
        config = distillation(modality, teachers, media, batch=4)
        assert distill(config, tmp_path / modality, quiet) == {}
        assert encoder_run.load(tmp_path / modality).modality == modality


def test_an_audio_encoder_in_a_checkpoint_can_teach(
    bert: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    loaded = untrained(bert)
    audio = encoder_run.load(encoders["audio"]).model
    assert isinstance(audio, AudioEncoder)
    loaded.model.audio = audio
    checkpoint.save(tmp_path / "both", loaded)
    assert find_teacher(str(tmp_path / "both"), "audio").width == 16
    with pytest.raises(ConfigError, match="no encoder of face"):
        find_teacher(str(tmp_path / "both"), "face")


def test_agreement_is_nought_and_disagreement_is_not() -> None:
    config = distillation("audio", [], Path())
    features, logits = torch.randn(50, 8), torch.randn(50, 7)
    same, projections = TeacherAnswer(features, logits), nn.ModuleList([nn.Identity()])
    assert disagreement(StudentAnswer(features, logits), [same], projections, config).item() < 1e-6
    assert (
        disagreement(StudentAnswer(features, logits + 5), [same], projections, config).item() < 1e-5
    )
    for other in (StudentAnswer(features + 1, logits), StudentAnswer(features, logits.flip(1))):
        assert disagreement(other, [same], projections, config) > 0.1
    # In units of the variance: what counts is how much of it is missed.
    larger = TeacherAnswer(features * 100, logits)
    missed = disagreement(StudentAnswer(features * 0, logits), [same], projections, config)
    assert disagreement(
        StudentAnswer(features * 0, logits), [larger], projections, config
    ) == pytest.approx(missed.item(), rel=1e-3)


def test_an_ensemble_answers_with_its_mean() -> None:
    config = distillation("audio", [], Path(), feature_weight=0.0)
    features, projections = torch.zeros(4, 8), nn.ModuleList([nn.Identity(), nn.Identity()])
    one, other = torch.randn(4, 7), torch.randn(4, 7)
    heat = config.temperature
    mean = ((one / heat).softmax(-1) + (other / heat).softmax(-1)) / 2
    answers = [TeacherAnswer(features, one), TeacherAnswer(features, other)]
    agreed = disagreement(StudentAnswer(features, mean.log() * heat), answers, projections, config)
    assert agreed.item() < 1e-5
    alone = disagreement(StudentAnswer(features, one), answers, projections, config)
    assert alone > agreed + 1e-3


def broken(folder: Path) -> Path:
    """A checkpoint cut short."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    return folder


def test_what_cannot_teach_is_named(
    teacher: Path, encoders: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    copy = broken(Path(shutil.copytree(teacher, tmp_path / "copy")))
    waveforms, pictures = write_wav2vec2(tmp_path / "w"), write_resnet(tmp_path / "r")
    at_8_khz = Path(shutil.copytree(waveforms, tmp_path / "w8"))
    (at_8_khz / "preprocessor_config.json").write_text('{"sampling_rate": 8000}', encoding="utf-8")
    crema = {"corpora": ["crema_d"]}
    cases: list[tuple[DistillConfig, str]] = [
        (distillation("audio", [tmp_path / "none"], data), "--teacher .*none: .*Hugging Face"),
        (distillation("face", [tmp_path / "empty"], data), "--teacher .*empty: "),
        (distillation("text", [copy], data), "not a checkpoint"),
        (
            distillation("face", [encoders["audio"]], data),
            "expected an encoder of face, got one of audio",
        ),
        (distillation("audio", [waveforms], data, **crema), "crema_d: it has no waveforms"),
        (distillation("audio", [pictures], data, **crema), "takes waveforms, .* got resnet"),
        (distillation("audio", [at_8_khz], data), "16000 Hz, got 8000 Hz"),
        (
            distillation("audio", [encoders["audio"]], data, corpora=["meld"]),
            "expected one of audio",
        ),
        (
            distillation("audio", [encoders["audio"]], tmp_path / "empty"),
            "expected a folder with .flac",
        ),
        (
            distillation("face", [encoders["face"]], tmp_path / "empty"),
            "expected a folder with .bmp",
        ),
        (distillation("text", [teacher], tmp_path / "empty.txt"), "an utterance per line"),
        (distillation("text", [teacher], tmp_path / "empty"), "an utterance per line"),
        (distillation("text", [teacher], data, corpora=["meld"], student={"depth": 1}), "depth"),
        (
            distillation("text", [teacher], data, corpora=["meld"], student={"layers": [5]}),
            "layers: expected some of 0 to 1",
        ),
    ]
    for config, message in cases:
        with pytest.raises((ConfigError, DataError, checkpoint.CheckpointError), match=message):
            distill(config, tmp_path / "run", quiet)
        assert not (tmp_path / "run").exists()


def spoil(file: Path, samples: np.ndarray, rate: int = 16_000) -> None:
    soundfile.write(file, samples, rate, subtype="FLOAT")


def test_broken_media_are_named(encoders: dict[str, Path], tmp_path: Path) -> None:
    for name, write, message in (
        (
            "nan.wav",
            lambda f: spoil(f, np.full(900, np.nan, np.float32)),
            "expected finite numbers, got nan",
        ),
        ("none.wav", lambda f: spoil(f, np.zeros(0, np.float32)), "got 0 samples"),
        ("one.wav", lambda f: spoil(f, np.zeros(900, np.float32)), "at least two clips"),
        ("text.wav", lambda f: f.write_text("hello", encoding="utf-8"), "cannot read the audio"),
        ("text.png", lambda f: f.write_text("hello", encoding="utf-8"), "cannot use the picture"),
    ):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        write(folder / name)
        modality = "face" if name.endswith("png") else "audio"
        with pytest.raises(DataError, match=message) as caught:
            distill(distillation(modality, [encoders[modality]], folder), tmp_path / "run", quiet)
        assert name in str(caught.value) or name == "one.wav"
