"""The demo in a terminal, in a pipe, as data, and without a bundle; its actors."""

import io
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from rich.console import Console

from dcet.demo import __main__ as demo
from dcet.demo import scripted_conversation
from dcet.demo.playing import play_as_data
from dcet.runtime import Bundle, Conversation
from dcet.runtime.labels import EMOTIONS
from dcet.runtime.senses.face import crop_qualities
from dcet.runtime.senses.quality import snr_db
from dcet.synthetic.actors import ACTORS, ScriptedTurn, synthesise_audio, synthesise_faces
from dcet.synthetic.faces import EXPRESSIONS, draw_face
from dcet.synthetic.voices import MANNERS, speak

LINE = ScriptedTurn("Mara", "She's asleep on the sofa, I think.", "neutral")
MARA = ACTORS["Mara"]
HUM = "ma mo ma mo ma"  # nearly all of it has a pitch


def test_the_script() -> None:
    lines = scripted_conversation()
    speakers = [line.speaker for line in lines]
    assert len(lines) >= 24
    assert len(set(speakers)) == 3
    assert max(speakers.index(speaker) for speaker in set(speakers)) >= 10  # one joins late
    assert all(line.text.strip() == line.text != "" for line in lines)
    assert {line.emotion for line in lines} == set(EMOTIONS)
    # Every state begins and ends in the course of the conversation.
    for states in ([line.camera for line in lines], [line.microphone for line in lines]):
        assert states[0] == states[-1] == "on"
        assert len(set(states)) == 3


def test_in_a_pipe(tiny: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tiny)])
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    for line in scripted_conversation():
        assert line.speaker in result.stdout
    assert result.stdout.count("─ trajectories ─") == 1  # once, not once a turn
    assert "first choice of target cpu" in result.stdout
    assert "played with text, audio, face\n" in result.stdout
    for event in ("the light goes out", "the room gets as loud", "the microphone is off"):
        assert result.stdout.count(event) == 1
    assert result.stdout.count("the camera works again") == 2  # after the dark, and after a pause


@pytest.mark.parametrize("width", [40, 80, 160])
def test_in_a_terminal(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(demo, "PAUSE_S", 0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, color_system="truecolor")
    demo.show(Conversation(bundle), console)
    last = screen.getvalue().rpartition("trajectories")[2]
    assert "Noor" in last
    assert "\x1b[1;30;48;2;" in last  # cells in the colours of emotions

    plain = Console(file=io.StringIO(), width=width)
    demo.show(Conversation(bundle), plain)
    assert isinstance(plain.file, io.StringIO)
    assert max(map(len, plain.file.getvalue().splitlines())) <= width


def test_as_data(tiny: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tiny), "--json"])
    played = json.loads(result.stdout)
    assert [turn["speaker"] for turn in played["turns"]] == [
        line.speaker for line in scripted_conversation()
    ]
    trajectories = {row["speaker"]: row for row in played["trajectories"]}
    assert list(trajectories) == ["Mara", "Ilya", "Noor"]
    for turn in played["turns"]:
        row = trajectories[turn["speaker"]]
        place = row["turns"].index(turn["turn"])
        assert row["probabilities"][place] == pytest.approx(list(turn["probabilities"].values()))
        assert row["shift"][place] == turn["shift"]


def test_weights_move_with_the_scene(conversation: Conversation) -> None:
    """The tiny bundle trusts each modality as much as the quality that was measured."""
    turns = play_as_data(conversation)["turns"]
    for device, modality, poor in (("camera", "face", "dark"), ("microphone", "audio", "noisy")):
        weights: dict[str, list[float]] = {"on": [], poor: [], "off": []}
        for turn in turns:
            weights[turn[device]].append(turn["modality_weights"][modality])
        assert max(weights[poor]) < min(weights["on"])
        assert min(weights[poor]) >= max(weights["off"]) == 0
    # Nothing is wrong with what the actors make; of the words, the tiny bundle knows few.
    assert all(note.startswith("text: ") for turn in turns for note in turn["degraded"])


def test_a_bundle_that_only_reads(reader: Bundle) -> None:
    plain = Console(file=io.StringIO(), width=100)
    demo.show(Conversation(reader), plain)
    assert isinstance(plain.file, io.StringIO)
    shown = plain.file.getvalue()
    assert "played with text; this bundle has no trained encoder of audio, face\n" in shown
    for turn in play_as_data(Conversation(reader))["turns"]:
        assert turn["modality_weights"] == {"text": 1.0, "audio": 0.0, "face": 0.0}
        assert all(note.startswith("text: ") for note in turn["degraded"])


def test_every_emotion_can_be_acted() -> None:
    assert set(MANNERS) == set(EXPRESSIONS) == set(EMOTIONS)
    assert set(ACTORS) == {line.speaker for line in scripted_conversation()}


def test_what_microphone_and_camera_give() -> None:
    for line in scripted_conversation()[::6]:
        line = replace(line, camera="on", microphone="on")
        actor = ACTORS[line.speaker]
        pcm, pictures = synthesise_audio(line, actor, seed=1), synthesise_faces(line, actor, seed=1)
        assert pcm is not None
        assert pictures is not None
        assert pcm.dtype == np.float32
        assert pcm.ndim == 1
        assert 16_000 < len(pcm) < 8 * 48_000  # from one second to what one turn may have
        assert 0.05 < np.abs(pcm).max() <= 1
        assert {(picture.shape, picture.dtype) for picture in pictures} == {
            ((96, 96, 3), np.dtype(np.uint8))
        }
        assert (crop_qualities(np.stack(pictures)) > 0.3).all()
        assert snr_db(pcm) > 20


def test_the_same_seed_gives_the_same() -> None:
    for sense in (synthesise_audio, synthesise_faces):
        first, again, other = (np.array(sense(LINE, MARA, seed)) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_a_loud_room_and_the_dark() -> None:
    in_noise, in_the_dark = (
        synthesise_audio(replace(LINE, microphone="noisy"), MARA, 1),
        synthesise_faces(replace(LINE, camera="dark"), MARA, 1),
    )
    lit = synthesise_faces(LINE, MARA, 1)
    assert in_noise is not None
    assert in_the_dark is not None
    assert lit is not None
    assert snr_db(in_noise) < 6
    assert np.mean(in_the_dark) < 0.1 * np.mean(lit)
    assert crop_qualities(np.stack(in_the_dark)).max() < 0.5 * crop_qualities(np.stack(lit)).min()
    assert synthesise_audio(replace(LINE, microphone="off"), MARA, 1) is None
    assert synthesise_faces(replace(LINE, camera="off"), MARA, 1) is None


@pytest.mark.parametrize("name", ACTORS)
def test_everybody_speaks_at_their_own_pitch(name: str) -> None:
    voice = ACTORS[name].voice
    pitch_hz = {
        emotion: _pitch_hz(speak(HUM, emotion, voice, np.random.default_rng(0)))
        for emotion in ("neutral", "sadness", "anger")
    }
    assert pitch_hz["neutral"] == pytest.approx(voice.pitch_hz * MANNERS["neutral"].pitch, rel=0.12)
    assert pitch_hz["sadness"] < pitch_hz["neutral"] < pitch_hz["anger"]


def test_sad_people_speak_slowly_and_softly() -> None:
    said = {
        emotion: speak(LINE.text, emotion, ACTORS["Ilya"].voice, np.random.default_rng(0))
        for emotion in ("sadness", "anger")
    }
    assert len(said["sadness"]) > 1.2 * len(said["anger"])
    assert np.square(said["sadness"]).mean() < 0.1 * np.square(said["anger"]).mean()


def test_faces_of_different_emotions_differ() -> None:
    """They differ by more than two pictures of one emotion do; equal seeds hold the head alike."""
    look = ACTORS["Noor"].look
    faces = {
        emotion: draw_face(expression, look, np.random.default_rng(5)).astype(float)
        for emotion, expression in EXPRESSIONS.items()
    }
    noise = (
        draw_face(EXPRESSIONS["joy"].scaled(1.02), look, np.random.default_rng(5)) - faces["joy"]
    )
    for one, other in combinations(faces.values(), 2):
        assert np.abs(one - other).mean() > 2 * np.abs(noise).mean()


def _pitch_hz(pcm: NDArray[np.float32]) -> float:
    """Median over 40 ms frames of the lag at which the autocorrelation is highest."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm, 640)[::320]
    loud = frames[np.square(frames).mean(axis=1) > 0.2 * np.square(pcm).mean()]
    power = np.abs(np.fft.rfft(loud * np.hanning(640), 2048)) ** 2
    lags = np.fft.irfft(power)[:, :400]
    return float(np.median(16_000 / (lags[:, 32:].argmax(axis=1) + 32)))


def test_no_bundle(tmp_path: Path) -> None:
    result = CliRunner().invoke(demo.main, [str(tmp_path / "nowhere.dcet")])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_help_has_an_example() -> None:
    assert "Example:\n    python -m dcet.demo" in CliRunner().invoke(demo.main, ["--help"]).stdout
