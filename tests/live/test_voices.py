"""Voices are told apart in a session, by a stand-in for a speaker model: the pitch of a tone."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from dcet.live import LiveSession
from dcet.live.people.voices import MOST_VOICES, Voices, speaker_model
from dcet.runtime import Bundle
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError, MissingExtra
from tests.live.scenes import RATE_HZ, finals, push, sound, taken


def by_pitch(pcm: Floats) -> Floats:
    """Two voices: one below 1 kHz and one above."""
    loudest_hz = np.abs(np.fft.rfft(pcm)).argmax() * RATE_HZ / len(pcm)
    return np.array([1.0, 0.05] if loudest_hz < 1000 else [0.05, 1.0], np.float32)


LOW = sound(3, [(0.5, 2.5)])  # 764 Hz
HIGH = sound(6, [(1, 5)])[::2]


def test_each_voice_is_a_person(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False, voices=Voices(by_pitch))
    push(session, np.concatenate([LOW, HIGH, HIGH, LOW]))
    speakers = [event.speaker for event in finals(taken(session))]
    assert speakers == ["voice 1", "voice 2", "voice 2", "voice 1"]


def test_a_voice_that_was_not_compared_in_time_is_unknown(hearing: Bundle) -> None:
    compared = threading.Event()

    def slowly(pcm: Floats) -> Floats:
        compared.wait(60)
        return by_pitch(pcm)

    session = LiveSession(hearing, deadline_ms=None, voices=Voices(slowly))
    push(session, LOW)
    session.flush()
    compared.set()
    assert [event.speaker for event in finals(taken(session))] == ["unknown"]


def test_without_the_extra_all_voices_are_one_person(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, np.concatenate([LOW, HIGH]))
    assert {event.speaker for event in finals(taken(session))} == {"voice 1"}


def test_two_voices_without_a_pause_are_two_turns(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False, voices=Voices(by_pitch))
    without_pauses = [sound(3, [(0, 3)]), sound(6, [(0, 6)])[::2]]
    push(session, np.concatenate([LOW[: RATE_HZ // 2], *without_pauses, LOW[-RATE_HZ // 2 :]]))
    events = finals(taken(session))
    assert [event.speaker for event in events] == ["voice 1", "voice 2"]
    assert events[1].start_us == pytest.approx(3_500_000, abs=1_600_000)


def test_who_is_forgotten_has_a_new_voice(hearing: Bundle) -> None:
    voices = Voices(by_pitch)
    session = LiveSession(hearing, threaded=False, voices=voices)
    push(session, LOW)
    session.forget("voice 1")
    assert voices.closest(by_pitch(LOW))[0] is None
    session.close()


def test_so_many_voices_are_known_at_most() -> None:
    voices = Voices(by_pitch)
    for number in range(MOST_VOICES + 1):
        voices.learn(f"voice {number}", np.eye(MOST_VOICES + 1, dtype=np.float32)[number])
    assert voices.closest(np.eye(MOST_VOICES + 1, dtype=np.float32)[0])[1] == pytest.approx(0)
    assert voices.closest(np.eye(MOST_VOICES + 1, dtype=np.float32)[1])[0] == "voice 1"


def write_model(path: Path, metadata: dict[str, str]) -> Path:
    """Write a stand-in for a speaker model: the mean of the log-mels that sherpa-onnx makes."""
    mean = helper.make_node("ReduceMean", ["feats"], ["embs"], axes=[1], keepdims=0)
    sizes: dict[str, list[int | str | None]] = {"feats": [1, None, 80], "embs": [1, 80]}
    feats, embs = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes.items()
    )
    graph = helper.make_graph([mean], "stand-in", [feats], [embs])
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


METADATA = {
    "framework": "wespeaker",
    "language": "English",
    "output_dim": "80",
    "sample_rate": "16000",
    "normalize_samples": "0",
}


def test_sherpa_onnx_runs_a_speaker_model(tmp_path: Path) -> None:
    pytest.importorskip("sherpa_onnx")
    voices = Voices(speaker_model(write_model(tmp_path / "speaker.onnx", METADATA)))
    low, high = (voices.embed(voice[RATE_HZ // 2 : 2 * RATE_HZ]) for voice in (LOW, HIGH))
    assert voices.alike(low, low) == pytest.approx(1)
    assert voices.alike(low, high) < 0.98


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, "there is no such file"),
        ({}, "one of wespeaker, 3d-speaker, nemo, got None"),
        ({"framework": "wespeaker"}, "lacks language, normalize_samples, output_dim, sample_rate"),
    ],
)
def test_a_model_that_is_none_is_named(
    tmp_path: Path, metadata: dict[str, str] | None, said: str
) -> None:
    pytest.importorskip("sherpa_onnx")
    path = tmp_path / "speaker.onnx"
    if metadata is not None:
        write_model(path, metadata)
    with pytest.raises(ConfigError, match=said):
        speaker_model(path)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sherpa_onnx")
    (tmp_path / "speaker.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError, match="expected a speaker model as ONNX"):
        speaker_model(tmp_path / "speaker.onnx")


def test_without_sherpa_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa_onnx", None)
    with pytest.raises(MissingExtra, match=r"dcet\[voices\]"):
        speaker_model(tmp_path / "none.onnx")
