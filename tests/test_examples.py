"""Every example runs as its first line says, and prints what it is there for.

On real recordings where DCET_DATA says where they are, else on made voices and drawn faces.
"""

import ast
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dcet.data.media import read_picture, write_wav
from dcet.data.turns import LabelledTurn, Turns
from dcet.data.write_turns import write_turns
from dcet.demo import scripted_conversation
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.labels import EMOTIONS
from dcet.synthetic.actors import ACTORS, ScriptedTurn, synthesise_audio, synthesise_faces

EXAMPLES = Path(__file__).parents[1] / "examples"
EMOTION = f"(?:{'|'.join(EMOTIONS)})"
MOST_LINES = 50
FRAMES_PER_S = 5
SIDE_PIXELS = 200

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs an example with these arguments, and returns what it printed."""

    def run_example(name: str, *arguments: Path) -> str:
        file = EXAMPLES / name
        monkeypatch.setattr(sys, "argv", [str(file), *map(str, arguments)])
        runpy.run_path(str(file), run_name="__main__")
        return capsys.readouterr().out

    return run_example


@pytest.fixture(scope="session")
def recordings() -> Path | None:
    """Real ones, where they are."""
    data = os.environ.get("DCET_DATA")
    return None if data is None else Path(data, "media")


def spoken() -> np.ndarray:
    """Six seconds at least, of one speaker, as int16."""
    lines = [ScriptedTurn("Mara", "I got the job! I really, really got the job!", "joy")] * 3
    heard = [synthesise_audio(line, ACTORS["Mara"], seed) for seed, line in enumerate(lines)]
    pcm = np.concatenate([part for part in heard if part is not None])
    assert len(pcm) > 6 * SAMPLE_RATE_HZ
    return (pcm * 32767).astype(np.int16)


def portrait(seed: int) -> np.ndarray:
    """A drawn face in a grey room, (400, 400, 3) RGB."""
    drawn = synthesise_faces(ScriptedTurn("Ilya", "", "joy"), ACTORS["Ilya"], seed, frames=1)
    assert drawn is not None
    picture = np.full((400, 400, 3), 128, np.uint8)
    picture[100:300, 100:300] = cv2.resize(drawn[0], (SIDE_PIXELS, SIDE_PIXELS))
    return picture


@pytest.fixture(scope="session")
def recording(recordings: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if recordings is not None:
        return recordings / "pyannote_sample_2spk.wav"
    path = tmp_path_factory.mktemp("media") / "voice.wav"
    write_wav(path, spoken(), SAMPLE_RATE_HZ)
    return path


@pytest.fixture(scope="session")
def video(recordings: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    av = pytest.importorskip("av")
    if recordings is not None:
        return recordings / "latentsync_demo1.mp4"
    path = tmp_path_factory.mktemp("media") / "talk.mp4"
    pcm = spoken()
    with av.open(path, "w") as container:
        pictures = container.add_stream("mpeg4", rate=FRAMES_PER_S)
        pictures.width = pictures.height = 400
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for number in range(len(pcm) * FRAMES_PER_S // SAMPLE_RATE_HZ):
            frame = av.VideoFrame.from_ndarray(portrait(number // FRAMES_PER_S), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        heard = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        heard.sample_rate = SAMPLE_RATE_HZ
        container.mux(sound.encode(heard))
        container.mux(sound.encode(None))
    return path


@pytest.fixture(scope="session")
def photo(recordings: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if recordings is not None:
        return recordings / "pyfeat_multi_face.jpg"
    path = tmp_path_factory.mktemp("media") / "photo.png"
    both = np.concatenate([portrait(seed=1), portrait(seed=2)], axis=1)
    cv2.imwrite(str(path), cv2.cvtColor(both, cv2.COLOR_RGB2BGR))
    return path


def test_the_list_here_is_complete() -> None:
    tested = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert tested == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_how_to_run_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    told = ast.get_docstring(ast.parse(text))
    assert told is not None
    assert f": python examples/{path.name}" in told.splitlines()[0]


def test_follow_a_recording(run: Run, recording: Path) -> None:
    printed = run("follow_wav.py", recording).splitlines()
    assert len(printed) > 2
    for place, line in enumerate(printed[:-1]):
        heard = rf"({EMOTION} +\d+%  █*|.*voice (was|were) heard.*)"
        assert re.match(rf" *{3 * place}\.0 s  {heard}$", line), line
    assert sum("%" in line for line in printed) > len(printed) / 2
    assert re.fullmatch(r"sentiment over \d+ turns: [+-]\d\.\d\d, from -1 to 1", printed[-1])


def test_a_recording_of_silence(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    write_wav(path, np.zeros(SAMPLE_RATE_HZ, np.int16), SAMPLE_RATE_HZ)
    with pytest.raises(SystemExit, match=r"silence\.wav: no turn of it holds a voice"):
        run("follow_wav.py", path)


def test_follow_a_video(run: Run, video: Path) -> None:
    printed = run("follow_video.py", video).splitlines()
    assert len(printed) > 2
    for place, line in enumerate(printed[:3]):
        assert re.match(rf" *{3 * place} s  {EMOTION} +from audio \d+%, face \d+%", line), line


def test_follow_a_video_as_it_goes_on(run: Run, video: Path) -> None:
    printed = run("embed_live.py", video).splitlines()
    assert printed
    for line in printed:
        assert re.match(rf" *\d+\.\d s  [\w ]+ {EMOTION}", line), line


def test_a_video_without_sound(run: Run, tmp_path: Path) -> None:
    """A camera is followed alone; a moment that shows no face either is named and passed over."""
    av = pytest.importorskip("av")
    path = tmp_path / "silent.mp4"
    with av.open(path, "w") as container:
        pictures = container.add_stream("mpeg4", rate=FRAMES_PER_S)
        pictures.width = pictures.height = 400
        pictures.pix_fmt = "yuv420p"
        for number in range(6 * FRAMES_PER_S):
            shown = portrait(1) if number < 3 * FRAMES_PER_S else np.full((400, 400, 3), 128)
            frame = av.VideoFrame.from_ndarray(shown.astype(np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    first, second = run("follow_video.py", path).splitlines()
    assert re.match(rf"   0 s  {EMOTION} +from face 100% audio: empty", first)
    assert "expected text, audio or faces" in second


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_that_lacks_its_arguments_says_how_to_run_it(name: str, run: Run) -> None:
    if "sys.argv" in (EXAMPLES / name).read_text(encoding="utf-8"):
        with pytest.raises(SystemExit, match=f"python examples/{name}"):
            run(name)


def test_every_face_of_a_photo(run: Run, photo: Path, tmp_path: Path) -> None:
    printed = run("faces_in_photo.py", photo, tmp_path / "marked.png").splitlines()
    faces = len(printed) - 1
    assert faces >= 2
    assert printed[-1].startswith(f"{faces} faces, marked in ")
    assert all(re.match(rf"face \d+, \d+ pixels .*: {EMOTION} \d+%", line) for line in printed[:-1])
    before, after = read_picture(photo), read_picture(tmp_path / "marked.png")
    assert before.shape == after.shape
    assert np.any(before != after)


def test_a_photo_that_cannot_be_written_is_named(run: Run, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"marked\.png cannot be written"):
        run("faces_in_photo.py", photo, tmp_path / "nowhere" / "marked.png")


def test_figures_of_a_labelled_folder(run: Run, tmp_path: Path) -> None:
    turns = tuple(
        LabelledTurn(speaker=line.speaker, emotion=EMOTIONS.index(line.emotion), text=line.text)
        for line in scripted_conversation()
    )
    write_turns(Turns("pixel", {"where is he": turns}), tmp_path / "pixel", "The demo's script.")
    printed = run("labelled_folder.py", tmp_path / "pixel")
    assert printed.startswith(f"{len(turns)} turns of 1 conversations in pixel\n")
    found = re.search(r"accuracy +(0\.\d+)", printed)
    assert found is not None
    assert float(found[1]) > 0.4  # of its words alone; at random, a seventh


def test_an_engine_of_your_own(run: Run) -> None:
    printed = run("own_engine.py")
    assert printed.count("by stopwatch, to see where the time goes") == 3
    assert re.search(r"^text +ran 3 times, \d+\.\d ms each$", printed, re.MULTILINE)
    assert re.search(r"^step +ran 3 times, \d+\.\d ms each$", printed, re.MULTILINE)


def test_two_conversations_know_nothing_of_each_other(run: Run) -> None:
    good, bad = run("two_conversations.py").splitlines()
    assert re.fullmatch(r"good news: Ben, Ann; Ann ends at \+0\.\d\d", good)
    assert re.fullmatch(r"bad news: Cem, Ann; Ann ends at -0\.\d\d", bad)
