"""Training of the speech detector: what it hears, what it learns from, what is refused."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dcet.data.metrics import area_under_roc
from dcet.runtime.errors import ConfigError, DataNotFound, MalformedTable
from dcet.synthetic.probes import speech
from dcet.training.cli import main
from dcet.training.network.speech_detector import SpeechDetector
from dcet.training.saved import encoder_run
from dcet.training.speech import recordings
from dcet.training.speech.fit_speech import FitSpeechConfig, fit_speech
from dcet.training.speech.judging import read_turns
from dcet.training.speech.mixing import draw
from dcet.training.speech.recordings import burst, read_recordings
from dcet.training.speech.silero import Silero
from dcet.training.speech.unvoiced import MAKERS
from tests.pretend_device import PretendDevice, same_as_on_the_cpu
from tests.tiny_training import Killed, KillIn, quiet

TABLE = ("file", "split", "label", "speaker")


def write_teacher(path: Path, context: int = 576) -> Path:
    """A network with Silero's inputs, to which what is loud is speech."""
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    constants = [
        axis,
        numpy_helper.from_array(np.array(1e-4, np.float32), "least"),
        numpy_helper.from_array(np.array(1e5, np.float32), "steep"),
    ]
    nodes = [
        helper.make_node("Mul", ["input", "input"], ["square"]),
        helper.make_node("ReduceMean", ["square", "axis"], ["power"]),
        helper.make_node("Sub", ["power", "least"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["output"]),
        helper.make_node("Identity", ["state"], ["stateN"]),
    ]
    kinds = {"input": [1, context], "state": [2, 1, 128]}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in kinds.items()]
    inputs.append(helper.make_tensor_value_info("sr", TensorProto.INT64, []))
    outputs = [
        helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1]),
        helper.make_tensor_value_info("stateN", TensorProto.FLOAT, [2, 1, 128]),
    ]
    graph = helper.make_graph(nodes, "teacher", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "vad.onnx")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of each corpus."""
    folder = tmp_path_factory.mktemp("voices")
    rng = np.random.default_rng(0)
    for name in ("ami", "ravdess", "emogator", "noise_rooms/rir", "noise_rooms/noise"):
        (folder / name).mkdir(parents=True)

    def write(name: str, pcm: NDArray[np.floating], rate: int = 16_000) -> None:
        soundfile.write(folder / name, pcm, rate)

    def talk(seed: int, rate: int = 16_000) -> NDArray[np.float32]:
        pause = rng.normal(0, 1e-3, rate).astype(np.float32)
        return np.concatenate([pause, speech(1, seed=seed, sample_rate_hz=rate)])

    for number, meeting in enumerate(("trn00", "trn08", "trn09")):
        write(f"ami/{meeting}.flac", talk(number))
    rttm = [f"SPEAKER {m} 1 1.000 1.000 <NA> <NA> A <NA> <NA>" for m in ("trn08", "trn09")]
    (folder / "ami" / "train.rttm").write_text("\n".join(rttm) + "\n", encoding="utf-8")
    for corpus, rate in (("ravdess", 16_000), ("emogator", 48_000)):
        with (folder / corpus / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(TABLE)
            for number, split in enumerate(("train", "dev")):
                write(f"{corpus}/{split}.wav", talk(number, rate), rate)
                rows.writerow((f"{split}.wav", split, "joy", "1"))
    write("noise_rooms/rir/hall.wav", np.r_[0.0, 1.0, np.zeros(400), 0.3])
    for number in range(4):
        write(f"noise_rooms/noise/{number}.flac", rng.normal(0, 3e-3, 16_000))
    return folder


@pytest.fixture
def config(data: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch) -> FitSpeechConfig:
    monkeypatch.setattr(recordings, "SYNTHETIC", 4)
    monkeypatch.setattr(recordings, "MADE", {"train": 8, "dev": 4})
    return FitSpeechConfig(
        teacher=str(teacher),
        data=str(data),
        shape={"channels": 4, "dilations": (1, 2)},
        epochs=2,
        examples=16,
        hops=32,
        batch=4,
        licences={"ami": "CC-BY-4.0"},
    )


def test_it_learns_on_a_device_what_it_learns_on_the_cpu(
    config: FitSpeechConfig, pretend_device: PretendDevice, tmp_path: Path
) -> None:
    once = dataclasses.replace(config, epochs=1)
    same_as_on_the_cpu(
        lambda run, where: fit_speech(once, run, quiet, where), pretend_device, tmp_path
    )


def test_a_run_resumes_where_it_was_killed(config: FitSpeechConfig, tmp_path: Path) -> None:
    figures = fit_speech(config, tmp_path / "whole", quiet)
    with pytest.raises(Killed):
        fit_speech(config, tmp_path / "killed", KillIn(2))
    assert fit_speech(config, tmp_path / "killed", quiet) == figures
    whole, resumed = (encoder_run.load(tmp_path / name) for name in ("whole", "killed"))
    assert (whole.modality, whole.licences) == ("speech", {"ami": "CC-BY-4.0"})
    assert isinstance(whole.model, SpeechDetector)
    for ours, theirs in zip(
        whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert figures["teacher"]["auc clean"] > 0.8
    assert set(figures["detector"]) == set(figures["teacher"])
    assert all(0 <= value <= 1 for value in figures["detector"].values())


def test_the_command_trains(config: FitSpeechConfig, tmp_path: Path) -> None:
    changes = tmp_path / "changes.json"
    small = {"examples": 8, "hops": 16, "batch": 4, "shape": {"channels": 4, "dilations": [1]}}
    changes.write_text(json.dumps(small), encoding="utf-8")
    options = ["--teacher", config.teacher, "--data", config.data, "--config", str(changes)]
    options += ["--epochs", "1", "--output", str(tmp_path / "run"), "--json", "-"]
    ran = CliRunner().invoke(main, ["speech", *options])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == json.loads(
        (tmp_path / "run" / "checkpoint" / "metrics.json").read_text(encoding="utf-8")
    )


def test_examples_have_a_voice_where_it_was_laid(config: FitSpeechConfig) -> None:
    read = read_recordings(Path(config.data), Silero(Path(config.teacher)), "train")
    rng = np.random.default_rng(0)
    drawn = [draw(read, 32, rng) for _ in range(60)]
    for sound in drawn:
        assert sound.pcm.shape == (32 * 512,)
        assert sound.pcm.dtype == np.float32
        assert np.abs(sound.pcm).max() <= 1.1
        known = sound.voice[~np.isnan(sound.voice)]
        assert ((known >= 0) & (known <= 1)).all()
    voiced = [np.nan_to_num(sound.voice).max() > 0.5 for sound in drawn]
    assert 0.3 < np.mean(voiced) < 0.85


def test_noise_with_somebody_far_away_is_left_out(config: FitSpeechConfig, data: Path) -> None:
    loud = data / "noise_rooms" / "noise" / "talk.flac"
    teacher = Silero(Path(config.teacher))
    before = len(read_recordings(data, teacher, "train").noises)
    soundfile.write(loud, speech(1), 16_000)
    try:
        assert len(read_recordings(data, teacher, "train").noises) == before
    finally:
        loud.unlink()


def test_a_burst_is_a_voice_and_the_pauses_around_it_are_none() -> None:
    rng = np.random.default_rng(0)
    pcm = np.concatenate([rng.normal(0, 1e-4, 8_192), 0.3 * rng.normal(0, 1, 8_192)])
    voice = burst(pcm.astype(np.float32)).voice
    np.testing.assert_array_equal(voice, [0] * 16 + [1] * 16)


@pytest.mark.parametrize("maker", MAKERS)
def test_sounds_without_a_voice_are_finite(maker: object) -> None:
    assert callable(maker)
    for seed in range(3):
        sound = maker(32_000, np.random.default_rng(seed))
        assert sound.shape == (32_000,)
        assert np.isfinite(sound).all()


def test_auc_counts_pairs() -> None:
    positive = np.array([True, True, False, False])
    assert area_under_roc(positive, np.array([0.9, 0.4, 0.5, 0.1])) == 0.75
    assert area_under_roc(positive, np.zeros(4)) == 0.5


def test_what_cannot_be_used_is_named(config: FitSpeechConfig, data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(ConfigError, match=r"--teacher .*broken\.onnx: cannot be loaded"):
        Silero(broken)
    model = onnx.load(config.teacher)
    model.graph.input[2].name = "rate"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match="expected the inputs input, sr, state, got input, rate"):
        Silero(tmp_path / "other.onnx")
    with pytest.raises(DataNotFound, match=r"ami: expected \.flac"):
        fit_speech(dataclasses.replace(config, data=str(tmp_path)), tmp_path / "run", quiet)
    (tmp_path / "train.rttm").write_text("SPEAKER trn08\n", encoding="utf-8")
    with pytest.raises(MalformedTable, match="line 1: expected SPEAKER"):
        read_turns(tmp_path, "trn08", 16_000)
