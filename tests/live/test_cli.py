"""`dcet-live`: files in, events, a page and a video out."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.live import run
from dcet.live.cli import main
from dcet.live.media.capture import DeviceLost
from dcet.live.media.media_file import MediaFile, Picture, Sound
from dcet.live.words import speech_recognition
from dcet.runtime import Bundle
from tests.live.made_media import write_clip
from tests.live.scenes import RATE_HZ, sound

SRT = "1\n00:00:00,200 --> 00:00:01,000\ni am happy\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a tone, which the bundle takes for a voice, and pictures."""
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    write_clip(path, list(range(0, 2000, 40)), seconds=2.0, size=(160, 120))
    path.with_suffix(".srt").write_text(SRT, encoding="utf-8")
    return path


def replay(bundle: Bundle, *arguments: object, code: int = 0) -> Result:
    words = ["replay", "--bundle", str(bundle.path), *map(str, arguments)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result


def events(path: Path) -> list[dict[str, Any]]:
    """The events of a file, but for what takes how long."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in found:
        assert event.pop("latency_ms")
        if event["estimate"] is not None:
            event["estimate"].pop("latency_ms")
    return found


def test_the_same_film_gives_the_same_lines_twice(
    hearing: Bundle, film: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        replay(hearing, film, "--jsonl", tmp_path / name)
    first = events(tmp_path / "one")
    assert first == events(tmp_path / "two")
    assert {event["kind"] for event in first} >= {"interim", "final"}
    assert [event["seq"] for event in first] == list(range(1, len(first) + 1))
    last = first[-1]
    assert last["text"] == "i am happy", "the subtitles beside the film were not read"
    assert (last["start_us"], last["end_us"]) == pytest.approx((0, 2_000_000), abs=200_000)


def test_page_and_video_are_written(hearing: Bundle, film: Path, tmp_path: Path) -> None:
    result = replay(
        hearing, film, "--html", tmp_path / "film.html", "--video", tmp_path / "drawn.mp4"
    )
    page = (tmp_path / "film.html").read_text(encoding="utf-8")
    for told in ("<h1>film.mp4</h1>", "i am happy", "1 turn", "as fast as it goes"):
        assert told in page
    assert "turns" in result.stdout
    items = list(MediaFile(tmp_path / "drawn.mp4"))
    assert sum(isinstance(item, Picture) for item in items) == 50
    assert sum(len(item.samples) for item in items if isinstance(item, Sound)) > 1.8 * 48_000


def test_events_on_standard_output_are_alone_there(hearing: Bundle, film: Path) -> None:
    result = replay(hearing, film, "--jsonl", "-")
    assert all(json.loads(line)["seq"] for line in result.stdout.splitlines())
    assert "turns" in result.stderr


def test_files_are_tracks_whose_speakers_can_be_named(hearing: Bundle, tmp_path: Path) -> None:
    for name in ("ann", "ben"):
        write_clip(tmp_path / f"{name}.mkv", [], seconds=1.5)
    files = [tmp_path / "ann.mkv", tmp_path / "ben.mkv"]
    speakers = ["--speaker", "ann=Ann Lee", "--speaker", "ben=Ben"]
    replay(hearing, *files, *speakers, "--jsonl", tmp_path / "events.jsonl")
    heard = events(tmp_path / "events.jsonl")
    assert {event["speaker"] for event in heard} == {"Ann Lee", "Ben"}


def test_in_real_time_it_takes_its_time(hearing: Bundle, film: Path, tmp_path: Path) -> None:
    started_s = time.monotonic()
    replay(hearing, film, "--speed", "1", "--jsonl", tmp_path / "events.jsonl")
    assert time.monotonic() - started_s > 1.9
    finals = [event for event in events(tmp_path / "events.jsonl") if event["kind"] == "final"]
    assert finals
    assert all(event["deadline_us"] is not None for event in finals)


def test_words_are_recognised_where_a_model_is_given(
    hearing: Bundle, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_recognition, "WORKER", "tests.live.fake_speech_worker")
    replay(hearing, film, "--asr", tmp_path, "--jsonl", tmp_path / "events.jsonl")
    last = events(tmp_path / "events.jsonl")[-1]
    assert (last["kind"], last["revision"] > 0) == ("revised", True)
    assert re.fullmatch(r"\d+ samples", last["text"]), "the subtitles were taken all the same"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--speaker", "Ann"], "--speaker: expected TRACK=NAME, got 'Ann'"),
        (["--speaker", "cam=Ann"], "there is no track 'cam'; expected one of film"),
        (["{film}"], "the same file is given twice"),
        (["--subtitles", "{film}"], "expected subtitles in UTF-8"),
        (["--bundle", "nowhere.dcet"], "nowhere.dcet"),
        (["--video", "{folder}/drawn.txt"], "expected the name of a video"),
        (["--deadline-ms", "0"], "--deadline-ms"),
        (["--engine", "abacus"], "abacus"),
        (["--asr", "/nowhere"], "asr|cannot be loaded"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    hearing: Bundle, film: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    words = [word.format(film=film, folder=tmp_path) for word in arguments]
    result = replay(hearing, film, *words, code=2)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert any(part in line for part in message.split("|"))
    assert list(tmp_path.iterdir()) == []


def test_sound_alone_has_no_video(hearing: Bundle, tmp_path: Path) -> None:
    write_clip(tmp_path / "ann.mkv", [], seconds=0.5)
    result = replay(hearing, tmp_path / "ann.mkv", "--video", tmp_path / "drawn.mp4", code=2)
    assert "expected a file with pictures" in result.stderr


def test_damage_is_told(hearing: Bundle, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", list(range(0, 8000, 40)), size=(320, 240))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    result = replay(hearing, path, "--html", tmp_path / "clip.html")
    assert "clip.mkv: " in result.stdout.replace("\n", "")
    assert "copy it again" in (tmp_path / "clip.html").read_text(encoding="utf-8")


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A microphone into which somebody speaks from second 0.5 to 1.5, and a camera."""

    def microphone(name: str) -> Iterator[tuple[Any, int]]:
        def give() -> Iterator[tuple[Any, int]]:
            pcm = sound(60, ((0.5, 1.5),))
            started_s = time.monotonic()
            for begin in range(0, len(pcm), 320):
                time.sleep(max(0.0, started_s + (begin + 320) / RATE_HZ - time.monotonic()))
                yield pcm[begin : begin + 320], RATE_HZ
            raise DeviceLost("the end")

        return give()

    def camera(name: str) -> Iterator[Any]:
        def give() -> Iterator[Any]:
            while True:
                time.sleep(0.04)
                yield np.full((120, 160, 3), 90, np.uint8)

        return give()

    monkeypatch.setattr(run, "open_microphone", microphone)
    monkeypatch.setattr(run, "open_camera", camera)


@pytest.mark.parametrize("camera", ["0", "none"])
def test_camera_and_microphone_are_followed(
    hearing: Bundle, tmp_path: Path, devices: None, camera: str
) -> None:
    words = ["run", "--bundle", str(hearing.path), "--seconds", "2.5", "--camera", camera]
    words += ["--jsonl", str(tmp_path / "events.jsonl"), "--html", str(tmp_path / "live.html")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    (final,) = [event for event in events(tmp_path / "events.jsonl") if event["kind"] == "final"]
    assert final["end_us"] - final["start_us"] == pytest.approx(1_000_000, abs=300_000)
    assert "<h1>live</h1>" in (tmp_path / "live.html").read_text(encoding="utf-8")
    told = " ".join(result.stdout.split())
    assert ("opencv-python-headless" in told) == (camera == "0")


def test_nothing_to_follow_is_an_error() -> None:
    result = CliRunner().invoke(main, ["run", "--camera", "none", "--microphone", "none"])
    assert result.exit_code == 2
    assert "both are none" in result.stderr
