"""The live report on made streams, through the command."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.live import deadlines, long_run, measure, room_stream, streaming
from dcet.benchmarks.live.cutting import Cutting, measure_cutting
from dcet.benchmarks.live.headlines import KNOWN, headlines
from dcet.benchmarks.live.load import busy
from dcet.benchmarks.live.long_run import LongRun, Minute, measure_long_run
from dcet.benchmarks.live.measure import LIVE_SCHEMA
from dcet.benchmarks.live.room_stream import RoomStream, made_stream
from dcet.benchmarks.room.recordings import Recording
from dcet.data.media import write_wav
from dcet.data.rttm import SpokenTurn
from dcet.data.turns import LabelledTurn, Turns
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.labels import EMOTIONS
from tests.live.scenes import RATE_HZ, sound
from tests.tiny_bundle import write_tiny_bundle

VOICED = ((1.0, 2.5), (4.0, 5.0), (6.5, 8.0))


def untracked(items: Any, label: str) -> Any:
    yield from items


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle to which what is loud is a voice."""
    path = tmp_path_factory.mktemp("bundle") / "hearing.dcet"
    return Bundle.open(write_tiny_bundle(path, senses=("audio", "face", "speech")))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short streams and few turns."""
    rng = np.random.default_rng(0)
    turns = tuple(
        LabelledTurn(
            speaker=name,
            emotion=number % len(EMOTIONS),
            text="i am happy",
            audio=sound(1, ((0.2, 0.8),)),
            faces=(rng.integers(0, 256, (48, 48, 3), np.uint8),),
        )
        for number, name in enumerate(["Ann", "Ben"] * 3)
    )
    monkeypatch.setattr(measure, "default_turns", lambda: Turns("few", {"one": turns}))
    monkeypatch.setattr(deadlines, "WARM_TURNS", 4)
    monkeypatch.setattr(deadlines, "DEADLINES_MS", (50.0, 5000.0))
    monkeypatch.setattr(streaming, "WARM_S", 0.5)
    monkeypatch.setattr(streaming, "IDLE_S", 1.0)
    monkeypatch.setattr(streaming, "WATCH_S", 0.2)
    monkeypatch.setattr(measure, "made_stream", lambda film=None, pause_s=1: stream())


def stream() -> RoomStream:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 90, 160, 3), np.uint8)
    lines = tuple(
        (round(begin * RATE_HZ), round(end * RATE_HZ), "i am happy") for begin, end in VOICED
    )
    return RoomStream("noise", sound(9, VOICED), lines, tuple(pictures))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pcm = (sound(9, VOICED) * 32767).astype(np.int16)
    write_wav(folder / "talk.wav", pcm, RATE_HZ)
    lines = [
        f"SPEAKER talk 1 {start} {end - start} <NA> <NA> somebody <NA> <NA>\n"
        for start, end in VOICED
    ]
    (folder / "talk.rttm").write_text("".join(lines), encoding="utf-8")
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["live", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def test_the_whole_report(small: None, hearing: Bundle, data: Path, tmp_path: Path) -> None:
    written = tmp_path / "live.json"
    result = run(
        hearing.path, "--data", data, "--seconds", 6, "--minutes", 2,
        "--json", written, "--html", tmp_path / "live.html",
    )  # fmt: skip
    report = json.loads(written.read_text(encoding="utf-8"))
    assert report["schema"] == LIVE_SCHEMA
    keys = {row["key"] for row in report["headlines"]}
    assert keys == KNOWN.keys() - {"right_person", "wrong_person", "crossed_ids"}
    rows = report["deadlines"]
    assert [(row["busy"], row["deadline_ms"]) for row in rows] == [
        (load, deadline) for load in (0, report["machine"]["cores"]) for deadline in (50, 5000)
    ]
    assert all(row["turns"] == 6 for row in rows)
    assert rows[1]["on_time"] == 1
    assert rows[1]["used"] == {"text": 1.0, "audio": 1.0, "face": 1.0}
    idle, loaded = report["streaming"]
    assert (idle["busy"], loaded["busy"]) == (0, report["machine"]["cores"])
    assert idle["turns"] >= 1
    assert idle["pictures"] == [90, 160]
    assert idle["counters"]["frames"]["waiting"] == 0
    assert report["idle"]["turns"] == 0
    assert report["long_run"]["is_exact"]
    assert "not measured: people" in result.stdout
    page = (tmp_path / "live.html").read_text(encoding="utf-8")
    for told in ("Accuracy against the deadline", "2 minutes in fast-forward", "Turns of meetings"):
        assert told in page
    compared = CliRunner().invoke(main, ["compare", str(written), str(written)])
    assert compared.exit_code == 0, compared.output
    assert "end of speech to final, p50" in compared.stdout
    assert "Live: streams in" in render_figures(tmp_path)


def test_only_what_is_asked_for_is_measured(
    small: None, hearing: Bundle, data: Path, tmp_path: Path
) -> None:
    run(hearing.path, "--part", "cutting", "--data", data, "--json", tmp_path / "live.json")
    report = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert report["deadlines"] == report["streaming"] == report["people"] == []
    assert report["idle"] is report["long_run"] is None
    assert {row["key"] for row in report["headlines"]} == {"cut_error", "cut_delay"}


def recording(turns: tuple[tuple[float, float], ...]) -> Recording:
    spoken = tuple(SpokenTurn(start, end, line) for line, (start, end) in enumerate(turns, 1))
    return Recording("talk", sound(9, VOICED), RATE_HZ, spoken)


def cut(hearing: Bundle, turns: tuple[tuple[float, float], ...]) -> Cutting:
    found = measure_cutting(hearing, "auto", [recording(turns)], untracked)
    assert found is not None
    return found


def test_turns_are_judged_by_their_times(hearing: Bundle) -> None:
    right = cut(hearing, VOICED)
    assert right.speech_s == pytest.approx(4.0, abs=0.02)
    assert right.error < 0.09  # a margin of some hops around each turn
    assert (right.ends, right.ends_found) == (3, 1.0)
    assert right.delay_p50_ms is not None
    assert 250 < right.delay_p50_ms < 450
    late = cut(hearing, tuple((start + 0.5, end + 0.5) for start, end in VOICED))
    assert late.error > right.error + 0.2  # 3 s of 9 are wrong, less the margins
    assert late.delay_p50_ms == pytest.approx(right.delay_p50_ms - 500, abs=30)
    silent = cut(hearing, ((8.4, 8.5),))
    assert silent.false_alarm > 0.4
    assert silent.missed < 0.02


def test_two_people_at_once_and_short_pauses_are_one_turn(hearing: Bundle) -> None:
    apart = ((1.0, 1.5), (1.6, 2.5), (1.2, 2.0), (4.0, 5.0), (6.5, 8.0))
    assert cut(hearing, apart) == cut(hearing, VOICED)


def test_talk_without_turns_is_not_judged(hearing: Bundle) -> None:
    assert measure_cutting(hearing, "auto", [recording(())], untracked) is None


def test_a_long_run_counts_all_that_it_pushed(hearing: Bundle) -> None:
    found = measure_long_run(hearing, "auto", FaceFinder(), stream(), 2, untracked)
    assert [minute.at for minute in found.minutes] == [1, 2]
    assert found.counters["samples"]["received"] == 2 * 60 * RATE_HZ
    assert found.counters["frames"]["received"] == pytest.approx(120, abs=1)
    assert found.counters["texts"]["received"] == pytest.approx(40, abs=1)
    assert found.counters["texts"]["used"] == found.counters["texts"]["received"]
    # The sound is repeated every 9 s, each time with three turns.
    assert sum(minute.turns for minute in found.minutes) == pytest.approx(40, abs=3)
    assert found.is_exact


def test_what_is_lost_in_silence_is_noticed() -> None:
    counts = {name: {"received": 5, "used": 3, "late": 1, "dropped": 1} for name in ("frames",)}
    assert long_run._is_exact({"frames": 5}, counts)
    counts["frames"]["dropped"] = 0
    assert not long_run._is_exact({"frames": 5}, counts)
    assert not long_run._is_exact({"frames": 6}, counts)


def test_bars_are_judged_in_their_direction() -> None:
    good = LongRun(
        minutes=(Minute(at=1, rss_bytes=2**27, turns=3, p99_ms=9.0),),
        took_s=1.0,
        warm_minutes=1,
        growth_bytes=2**20,
        p99_first_ms=10.0,
        p99_last_ms=10.0,
        counters={},
        is_exact=True,
    )
    bad = replace(good, growth_bytes=2**23, p99_last_ms=20.0, is_exact=False)
    for found, is_met in ((good, True), (bad, False)):
        rows = headlines((), (), None, None, (), found)
        assert [row.is_met for row in rows] == [is_met] * 3


def test_busy_processes_end_with_what_they_are_beside() -> None:
    own = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    if not own.exists():
        pytest.skip("this system does not say which processes there are")
    before, during = set(own.read_text(encoding="utf-8").split()), set[str]()

    def fail() -> None:
        with busy(2):
            during.update(own.read_text(encoding="utf-8").split())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(during - before) == 2
    assert set(own.read_text(encoding="utf-8").split()) == before


def test_the_made_room_has_turns_and_pauses() -> None:
    made = made_stream()
    assert made.pictures[0].shape == (room_stream.HEIGHT, room_stream.WIDTH, 3)
    assert not np.array_equal(made.pictures[0], made.pictures[1])
    level = np.abs(made.sound[: len(made.sound) // 1600 * 1600].reshape(-1, 1600)).max(axis=1)
    loud = level > 0.02
    assert np.count_nonzero(loud[1:] & ~loud[:-1]) >= len(room_stream.LINES)
    first, end, _ = made.lines[0]
    assert level[first // 1600 : end // 1600].max() > 0.02 >= level[: first // 1600].max()
    blocks = made.blocks()
    times_us = [next(blocks)[0] for _ in range(100)]
    assert times_us == list(range(0, 2_000_000, 20_000))
