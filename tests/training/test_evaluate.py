"""Figures of encoders and checkpoints on corpora."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dcet.runtime.errors import ConfigError, DataError
from dcet.runtime.labels import EMOTIONS
from dcet.training.corpora.speech import earlier_voice, read_speech
from dcet.training.encoders.judging import emotion_figures
from dcet.training.evaluate import evaluate
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.saved import checkpoint, encoder_run
from tests.tiny_training import untrained

CORPORA = {"crema_d": "audio", "ravdess": "audio", "ferplus": "face"}


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_folder_of_a_corpus_or_of_all_will_do(
    encoders: dict[str, Path], data: Path, corpus: str
) -> None:
    run = str(encoders[CORPORA[corpus]])
    figures = evaluate(run, corpus, data)
    assert figures == evaluate(run, corpus, data / corpus)
    kept = encoder_run.load(Path(run)).metrics[corpus]
    assert figures["n"] == kept["n"]
    assert figures["nll"] == pytest.approx(kept["nll"], abs=0.01)  # weights are kept in FP16
    assert evaluate(run, corpus, data, split="train")["nll"] != figures["nll"]


def test_meld_is_a_csv_or_a_folder(run: Path, encoders: dict[str, Path], data: Path) -> None:
    for name in (run, encoders["text"]):
        csv = evaluate(str(name), "meld", data / "meld" / "dev_sent_emo.csv")
        assert (
            csv == evaluate(str(name), "meld", data) == evaluate(str(name), "meld", data / "meld")
        )
        assert evaluate(str(name), "meld", data, split="train")["n"] > csv["n"]


def test_a_checkpoints_own_encoders_are_judged(
    bert: Path, encoders: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    loaded = untrained(bert)
    audio, face = (encoder_run.load(encoders[kind]).model for kind in ("audio", "face"))
    assert isinstance(audio, AudioEncoder)
    assert isinstance(face, FaceEncoder)
    loaded.model.audio, loaded.model.face = audio, face
    checkpoint.save(tmp_path / "all", loaded)
    for corpus, modality in CORPORA.items():
        expected = evaluate(str(encoders[modality]), corpus, data)
        assert evaluate(str(tmp_path / "all"), corpus, data) == expected


def test_ravdess_is_heard_as_sound_with_the_voice_so_far(
    encoders: dict[str, Path], data: Path
) -> None:
    """Clip by clip through the whole graph, the state handed on, as a host does it."""
    model = encoder_run.load(encoders["audio"]).model
    assert isinstance(model, AudioEncoder)
    speech = read_speech("ravdess", data / "ravdess", "dev")
    assert speech.pcm is not None
    voices: dict[int, torch.Tensor] = {}
    features = []
    with torch.inference_mode():
        for pcm, speaker in zip(speech.pcm, speech.speaker.tolist(), strict=True):
            voice = voices.get(speaker, torch.zeros(1, 3, 64))
            feature, voices[speaker] = model(pcm[None], voice)
            features.append(feature)
        expected = emotion_figures(model.head(torch.cat(features)), speech.emotion)
        whole = model.encode(speech.level, earlier_voice(speech))
    assert torch.allclose(torch.cat(features), whole, atol=1e-3)
    figures = evaluate(str(encoders["audio"]), "ravdess", data)
    assert figures["nll"] == pytest.approx(expected["nll"], abs=1e-3)


def test_an_emotion_that_a_corpus_lacks_is_no_answer() -> None:
    logits = torch.zeros(3, 7)
    logits[:, EMOTIONS.index("surprise")] = 9
    logits[:, EMOTIONS.index("joy")] = 1
    emotion = torch.tensor([EMOTIONS.index(name) for name in ("joy", "joy", "surprise")])
    assert emotion_figures(logits, emotion)["accuracy"] == pytest.approx(1 / 3)
    without = emotion_figures(logits, emotion, ["surprise"])
    assert (without["n"], without["accuracy"], without["uar"]) == (2, 1, 1)
    assert np.isfinite(without["nll"])
    with pytest.raises(DataError, match="nothing is left"):
        emotion_figures(logits, emotion, ["joy", "surprise"])


def test_crema_d_is_never_surprised_and_others_need_not_be(
    encoders: dict[str, Path], data: Path
) -> None:
    surprise = EMOTIONS.index("surprise")
    run = str(encoders["audio"])
    assert not np.array(evaluate(run, "crema_d", data)["confusion"])[:, surprise].any()
    whole, shared = (
        evaluate(run, "ravdess", data, left_out=left_out) for left_out in ((), ("surprise",))
    )
    assert whole["n"] - shared["n"] == 2
    assert not np.array(shared["confusion"])[:, surprise].any()


def test_what_cannot_be_judged_is_named(
    encoders: dict[str, Path], run: Path, data: Path, tmp_path: Path
) -> None:
    for name, corpus, options, message in (
        (encoders["face"], "ravdess", {}, "expected an encoder of audio, got one of face"),
        (run, "ravdess", {}, "no encoder of audio"),
        (encoders["audio"], "ravdess", {"reset_memory": True}, "no conversations"),
        (run, "meld", {"left_out": ["joy"]}, "all seven"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate(str(name), corpus, data, **options)
    with pytest.raises(DataError, match="split 'test', got dev, train"):
        evaluate(str(encoders["audio"]), "ravdess", data, split="test")
    with pytest.raises(checkpoint.CheckpointError, match="not a checkpoint"):
        evaluate(str(tmp_path), "ravdess", data)
