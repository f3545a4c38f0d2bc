"""The room report on made recordings, through the command, and on real ones where there are any."""

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.benchmarks.cli import main
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.room import replies
from dcet.benchmarks.room.headlines import KNOWN
from dcet.benchmarks.room.measure import ROOM_SCHEMA
from dcet.benchmarks.room.recordings import Recording, find_recordings
from dcet.benchmarks.room.replies import NONE, Listener, Reply, compare_replies, count_labels
from dcet.benchmarks.room.sounds import COUNT, MADE
from dcet.benchmarks.room.spots import draw_spots, starts_s
from dcet.benchmarks.room.video import read_video
from dcet.data.media import write_wav
from dcet.data.rttm import SpokenTurn
from dcet.runtime import Bundle, Conversation
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.labels import EMOTIONS
from dcet.synthetic.probes import faces, speech
from tests.tiny_bundle import write_tiny_bundle

RTTM = "SPEAKER {} 1 {} {} <NA> <NA> someone <NA> <NA>\n"
SPOTS = 4


def write_talk(path: Path, seconds: float, *, rate_hz: int = SAMPLE_RATE_HZ, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = speech(seconds, seed=seed, sample_rate_hz=rate_hz)
    write_wav(path, (pcm * 32767).astype(np.int16), rate_hz)


def write_video(path: Path, seconds: int, *, with_sound: bool = True) -> None:
    """Four pictures a second of somebody, and speech."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=4)
        pictures.width = pictures.height = 96
        pictures.pix_fmt = "yuv420p"
        sound = None
        if with_sound:
            sound = container.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
        for picture in faces(4 * seconds, 96, 96, seed=0):
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(pictures.encode())
        if sound is not None:
            pcm = (speech(seconds) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, 16_000)
            container.mux(sound.encode(frame))
            container.mux(sound.encode())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds tiny.dcet and data, and the report.json and report.html that were measured on them."""
    folder = tmp_path_factory.mktemp("room")
    write_tiny_bundle(folder / "tiny.dcet")
    data = folder / "data"
    write_talk(data / "meeting" / "a.wav", 12)
    write_talk(data / "meeting" / "b.wav", 10, rate_hz=44_100, seed=1)
    (data / "meeting" / "all.rttm").write_text(
        RTTM.format("a", 0.5, 4) + RTTM.format("a", 3, 0.5) + RTTM.format("a", 5, 6.5),
        encoding="utf-8",
    )
    write_talk(data / "clip.wav", 2)
    write_talk(data / "street_noise" / "car.wav", 7)
    write_talk(data / "street_noise" / "far" / "cry.wav", 3)
    (data / "street_noise" / "list.csv").write_text(
        "file,what\nfar/cry.wav,Scream\ncar.wav,car\n", encoding="utf-8"
    )
    write_talk(data / "rir" / "hall.wav", 1)
    write_talk(data / "acted" / "deep" / "angry.wav", 3)
    (data / "acted" / "labels.csv").write_text(
        "file,label\ndeep/angry.wav,anger\n", encoding="utf-8"
    )
    write_video(data / "head.mkv", 5)
    assert "in a room" in measure(folder, "report").stdout
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def measure(folder: Path, name: str, *options: str) -> Result:
    files = [f"--{kind}={folder / name}.{kind}" for kind in ("json", "html")]
    result = run(folder / "tiny.dcet", folder / "data", *files, f"--spots={SPOTS}", *options)
    assert result.exit_code == 0, result.output
    return result


def run(bundle: Path, data: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["room", str(bundle), "--data", str(data), *options])


def values(report: dict[str, Any]) -> dict[str, float]:
    return {row["key"]: row["value"] for row in report["headlines"]}


def test_every_file_is_taken_for_what_it_is(report: dict[str, Any]) -> None:
    assert report["schema"] == ROOM_SCHEMA
    assert report["material"] == {
        "folder": "data",
        "talk": ["clip.wav", "meeting/a.wav", "meeting/b.wav"],
        "talk_s": 24.0,
        "videos": ["head.mkv"],
        "no_speech": 1,
        "with_voices": 1,
        "labelled": ["acted"],
    }


def test_a_folder_of_noise_given_alone_is_one(folder: Path) -> None:
    found = find_recordings(folder / "data" / "street_noise")
    assert (len(found.talk), len(found.no_speech), found.voices) == (0, 1, 1)


def test_every_part_is_measured(report: dict[str, Any]) -> None:
    assert list(values(report)) == list(KNOWN)
    pairs = {row["move_ms"]: row["steadiness"]["pairs"] for row in report["moves"]}
    assert pairs == dict.fromkeys((0.5, 5, 16, 32, 64, 128), SPOTS) | {20: 5 * SPOTS}
    assert [row["length_s"] for row in report["lengths"]["rows"]] == [0.5, 1, 3, 9]
    assert report["meetings"]["labels"]["replies"] == 2  # of 1 s and more
    assert [row["sounds"] for row in report["noises"]] == [*MADE, "street_noise"]
    assert report["noises"][-1]["labels"]["replies"] == 2  # cuts of 3 s, of 7 s
    rows = [(tuple(row["modalities"]), row["in_one_conversation"]) for row in report["neighbours"]]
    assert rows == [
        (senses, in_one)
        for senses in (("face",), ("audio",), ("audio", "face"))
        for in_one in (False, True)
    ]
    assert {row["steadiness"]["pairs"] for row in report["neighbours"]} == {2}


def test_a_turn_of_a_meeting_is_the_first_of_a_conversation(
    folder: Path, report: dict[str, Any]
) -> None:
    """The report equals turns given here."""
    pcm = find_recordings(folder / "data").read(folder / "data" / "meeting" / "a.wav").samples
    estimates = [
        Conversation(Bundle.open(folder / "tiny.dcet")).turn("x", audio=pcm[start:end])
        for start, end in ((8_000, 72_000), (80_000, 184_000))
    ]
    sure = [estimate.confidence or 0.0 for estimate in estimates]
    assert report["meetings"]["labels"]["confidence"] == pytest.approx(np.mean(sure))
    emotional = [
        not e.abstains and e.emotion != "neutral" and e.probabilities[e.emotion] >= 0.6
        for e in estimates
    ]
    assert report["meetings"]["emotional"] == np.mean(emotional)
    silent = np.mean([estimate.abstains is not None for estimate in estimates])
    assert report["meetings"]["silent"] == pytest.approx(silent)


def test_silence_has_no_emotion_and_a_reason(report: dict[str, Any]) -> None:
    (row,) = (row for row in report["noises"] if row["sounds"] == "digital silence")
    assert (row["labels"]["named"], row["labels"]["labels"]) == (0, {NONE: 5})
    assert row["labels"]["reasons"] == {"audio: silent": 5}
    noises = [row for row in report["noises"] if not row["is_recorded"]]
    named = np.mean([row["labels"]["named"] for row in noises])
    assert values(report)["made_named"] == pytest.approx(named)


def test_an_estimate_that_abstains_names_nothing_and_has_a_distance(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "Conversation", partial(Conversation, abstain_below=1.0))
    listener = Listener(Bundle.open(folder / "tiny.dcet"), "auto")
    heard = [listener.hear(speech(3, seed=seed), SAMPLE_RATE_HZ) for seed in (0, 1)]
    assert [reply.label for reply in heard] == [NONE, NONE]
    assert {reply.reason for reply in heard} == {"abstains: confidence … is below …"}
    steadiness = compare_replies([(heard[0], heard[1])])
    assert (steadiness.changed, steadiness.silent) == (0, 1)
    assert steadiness.tv is not None


def test_the_same_seed_gives_the_same_report(folder: Path, report: dict[str, Any]) -> None:
    measure(folder, "again")
    again = json.loads((folder / "again.json").read_text(encoding="utf-8"))
    when = {"created": "", "machine": {}}
    assert {**again, **when} == {**report, **when}


def test_page_shows_every_part(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 5
    for name, _ in KNOWN.values():
        assert name in text
    assert "audio: silent" in text
    assert "nan" not in text


def test_a_report_compares_with_itself_and_not_with_one_of_other_spots(
    folder: Path, report: dict[str, Any], tmp_path: Path
) -> None:
    path = str(folder / "report.json")
    assert CliRunner().invoke(main, ["compare", path, path]).exit_code == 0
    for row in report["headlines"]:
        worse = {**report, "headlines": [{**row, "value": None}]}
        (tmp_path / "worse.json").write_text(json.dumps(worse), encoding="utf-8")
        result = CliRunner().invoke(main, ["compare", path, str(tmp_path / "worse.json")])
        assert result.exit_code == (0 if row["value"] == 1 else 1)
    measure(folder, "more", "--spots", "5")
    result = CliRunner().invoke(main, ["compare", path, str(folder / "more.json")])
    assert result.exit_code == 2
    assert "--spots" in result.stderr


def test_the_page_of_figures_has_a_row_of_it(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "report.json", tmp_path / "it.json")
    page = render_figures(tmp_path)
    assert "## In a room" in page
    assert page.count("`it.json`") == 1


def test_what_there_is_none_of_is_not_measured_and_said(folder: Path, tmp_path: Path) -> None:
    write_talk(tmp_path / "noise" / "car.wav", 1)
    output = tmp_path / "a.json"
    result = run(
        folder / "tiny.dcet", tmp_path, f"--json={output}", f"--html={tmp_path / 'a.html'}"
    )
    assert result.exit_code == 0, result.output
    for name in ("moves", "lengths", "turns of meetings", "neighbours in time"):
        assert f"not measured: {name}" in result.stdout
    assert list(values(json.loads(output.read_text(encoding="utf-8")))) == [
        "made_named",
        "recorded_named",
    ]


def test_spots_are_where_somebody_speaks() -> None:
    """By level, or by the turns: speech from 2 s to 6 s of 12 s."""
    pcm = np.random.default_rng(0).normal(0, 1e-4, 12 * SAMPLE_RATE_HZ).astype(np.float32)
    pcm[2 * SAMPLE_RATE_HZ : 6 * SAMPLE_RATE_HZ] *= 1000
    turns = (SpokenTurn(2, 6, 1),)
    for recording in (Recording("a", pcm, 16_000), Recording("a", pcm, 16_000, turns)):
        starts = starts_s(recording, 3.0)
        assert 1.9 < starts.min() < 2.1
        assert 4.4 < starts.max() <= 4.6  # half of 3 s is left
        assert len(starts_s(recording, 9.0)) == 0


def test_every_recording_has_its_share_of_the_spots() -> None:
    names = ("a", "b", "c")
    recordings = [Recording(name, speech(5), SAMPLE_RATE_HZ) for name in names]
    spots, others = (draw_spots(recordings, 3.0, 9, np.random.default_rng(s)) for s in (0, 1))
    assert [spot.recording.name for spot in spots].count("b") == 3
    assert [spot.start_s for spot in spots] != [spot.start_s for spot in others]
    assert draw_spots(recordings, 6.0, 9, np.random.default_rng(0)) == []


def reply(label: str, probabilities: Sequence[float] | None = None) -> Reply:
    known = None if probabilities is None else np.array(probabilities)
    return Reply(label, None if label != NONE else "why", known, 0.5, 1.0)


def test_naming_nothing_is_a_label_and_no_distance() -> None:
    joy, fear = np.eye(7)[EMOTIONS.index("joy")], np.eye(7)[EMOTIONS.index("fear")]
    half = (joy + fear) / 2
    steadiness = compare_replies(
        [
            (reply("joy", joy), reply("joy", half)),
            (reply("joy", joy), reply(NONE, fear)),  # it abstains
            (reply("joy", joy), reply(NONE)),  # no estimate
            (reply(NONE), reply(NONE)),
        ]
    )
    assert (steadiness.pairs, steadiness.changed, steadiness.silent) == (4, 0.5, 0.75)
    assert steadiness.tv == pytest.approx((0.5 + 1) / 2)
    assert compare_replies([(reply(NONE), reply(NONE))]).tv is None
    labels = count_labels([reply(NONE), reply("joy", joy), reply(NONE, fear)])
    assert labels.named == pytest.approx(1 / 3)
    assert (labels.labels, labels.reasons) == ({NONE: 2, "joy": 1}, {"why": 2})


@pytest.mark.parametrize("name", MADE)
def test_sounds_that_are_made_have_their_level_and_are_not_clipped(name: str) -> None:
    wave = MADE[name](np.random.default_rng(0))
    assert wave.shape == (COUNT,)
    assert np.abs(wave).max() <= 1
    if name == "digital silence":
        assert not wave.any()
    else:
        wanted = -60 if "-60" in name else -20 if "-20" in name else -24
        assert 20 * np.log10(np.sqrt(np.square(wave).mean())) == pytest.approx(wanted, abs=0.5)


def test_a_video_is_read_as_sound_and_pictures_of_the_same_time(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", 4)
    video = read_video(tmp_path / "a.mkv")
    assert video.seconds == pytest.approx(4, abs=0.1)
    assert video.sound.shape == (4 * SAMPLE_RATE_HZ,)
    assert [picture.shape for picture in video.pictures] == [(96, 96, 3)] * 8


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected recordings of talk or noise"),
        ({"labels.csv": "file\n", "a.wav": ""}, "besides 1 folders with a labels.csv"),
        ({"a.mp4": "no video"}, "cannot read the video"),
        ({"a.flac": "no sound"}, "cannot read the audio"),
        ({"a.rttm": RTTM.format("gone", 0, 2), "b.wav": "talk"}, "expected a sound file gone next"),
        ({"a.rttm": RTTM.format("b", "x", 2), "b.wav": "talk"}, "expected seconds, 0 or more"),
        ({"a.rttm": RTTM.format("b", 9, 2), "b.wav": "talk"}, "it ends at 4.00 s, but line 1"),
        ({"a.rttm": "SPEAKER b 1 0", "b.wav": "talk"}, "got 4 fields"),
        ({"list.csv": "name\na\n", "b.wav": "talk"}, "columns file are missing"),
    ],
)
def test_bad_folders_are_named_and_nothing_is_written(
    folder: Path, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, content in files.items():
        if content == "talk":
            write_talk(data / name, 4)
        else:
            (data / name).write_text(content, encoding="utf-8")
    result = run(folder / "tiny.dcet", data, f"--json={tmp_path / 'a.json'}")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "a.json").exists()


def test_a_file_without_a_sample_is_named(folder: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "none.wav", np.empty(0, np.int16), SAMPLE_RATE_HZ)
    result = run(folder / "tiny.dcet", tmp_path)
    assert result.exit_code == 2
    assert "none.wav: expected at least one sample" in result.stderr


def test_a_video_without_sound_is_named(folder: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mkv", 4, with_sound=False)
    result = run(folder / "tiny.dcet", tmp_path)
    assert result.exit_code == 2
    assert "mute.mkv: expected pictures and sound" in result.stderr


def test_a_bundle_that_does_not_hear_is_an_error(folder: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "text.dcet", senses=())
    result = run(bundle, folder / "data")
    assert result.exit_code == 2
    assert "an encoder of audio" in result.stderr


def test_a_bundle_that_does_not_see_is_measured_by_ear(folder: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "ears.dcet", senses=("audio",))
    output = tmp_path / "a.json"
    result = run(bundle, folder / "data", f"--json={output}", "--spots=1")
    assert result.exit_code == 0, result.output
    rows = json.loads(output.read_text(encoding="utf-8"))["neighbours"]
    assert {tuple(row["modalities"]) for row in rows} == {("audio",)}


def test_real_meetings_and_a_talking_head(data: Path, tmp_path: Path) -> None:
    """With the bundle that ships: 43 turns of AMI last 1 s or more, and silence is silent."""
    room = tmp_path / "room"
    shutil.copytree(data / "ami", room / "ami")
    shutil.copy(data / "media" / "latentsync_demo1.mp4", room)
    output = tmp_path / "a.json"
    command = ["room", "--data", str(room), "--spots=4", f"--json={output}"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["meetings"]["labels"]["replies"] == 43
    assert {row["steadiness"]["pairs"] for row in report["neighbours"]} == {7}
    (silence,) = (row for row in report["noises"] if row["sounds"] == "digital silence")
    assert silence["labels"]["named"] == 0
    small, far = (report["moves"][place]["steadiness"]["tv"] for place in (0, -1))
    assert small < far
