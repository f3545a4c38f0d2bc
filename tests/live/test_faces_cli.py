"""`dcet-faces`: the detector fetched from a server near by, and faces found and drawn."""

import hashlib
import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from dcet.live.faces_cli import main
from dcet.live.media import face_fetch
from dcet.live.media.video_file import write_video
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.detectors import fetched
from dcet.runtime.senses.detectors.fetched import fetched_path

MODEL = b"a model" * 1000


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the detector lies once it is fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = fetched_path()
    assert path is not None
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serves MODEL, whose hash is the known one for once, what is no model, and half of it."""
    monkeypatch.setattr(fetched, "SHA256", hashlib.sha256(MODEL).hexdigest())
    answers = {"/model.onnx": MODEL, "/other.onnx": MODEL + b"x", "/half.onnx": MODEL[:3000]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in answers:
                self.send_error(404)
                return
            self.send_response(200)
            answer = answers[self.path]
            self.send_header("Content-Length", str(max(len(MODEL), len(answer))))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def yunet_file(data: Path) -> Path:
    return data / "face_detector" / "yunet_s_640_640.onnx"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_the_known_hash_is_that_of_the_file_the_tests_have(yunet_file: Path) -> None:
    data = yunet_file.read_bytes()
    fetched.check_fetched(data, yunet_file)
    assert len(data) == fetched.SIZE_BYTES
    with pytest.raises(ConfigError, match="expected YuNet of 232589 bytes"):
        fetched.check_fetched(data[:-1], yunet_file)


def test_fetching(server: str, cache: Path) -> None:
    result = run("fetch", "--url", f"{server}/model.onnx")
    assert result.exit_code == 0, result.output
    assert f"{cache}: fetched" in result.output
    assert cache.read_bytes() == MODEL
    again = run("fetch", "--url", "http://127.0.0.1:9/")  # nothing is asked for a second time
    assert again.exit_code == 0
    assert "there already" in again.output
    cache.write_bytes(b"altered")
    assert run("fetch", "--url", f"{server}/model.onnx").exit_code == 0
    assert cache.read_bytes() == MODEL


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("other.onnx", "expected YuNet of 232589 bytes with SHA-256"),
        ("half.onnx", "got 3000 bytes"),
        ("none.onnx", "could not be fetched (HTTP Error 404"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing(
    server: str, cache: Path, name: str, why: str
) -> None:
    result = run("fetch", "--url", f"{server}/{name}")
    assert result.exit_code == 2
    assert f"Error: {server}/{name}: " in result.stderr
    assert why in result.stderr
    assert not cache.parent.exists()


def test_no_server_and_no_address() -> None:
    for url in ("http://127.0.0.1:9/model.onnx", "model.onnx"):
        result = run("fetch", "--url", url)
        assert result.exit_code == 2
        assert f"Error: {url}: could not be fetched" in result.stderr


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_fetch, "fetched_path", lambda: None)
    result = run("fetch")
    assert result.exit_code == 2
    assert "set XDG_CACHE_HOME" in result.stderr


def test_the_faces_of_a_photo(data: Path, yunet_file: Path, tmp_path: Path) -> None:
    photo, drawn = data / "media" / "pyfeat_multi_face.jpg", tmp_path / "drawn.png"
    result = run("find", photo, "--model", yunet_file, "--output", drawn, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["detector"] == "yunet"
    (frame,) = report["frames"]
    assert (frame["width"], frame["height"], len(frame["faces"])) == (1000, 667, 5)
    assert f"{photo}: 5 faces in 1 frames, found with yunet" in result.stderr
    before: Any = cv2.imread(str(photo))
    after: Any = cv2.imread(str(drawn))
    changed = (before != after).any(axis=2)
    for face in frame["faces"]:
        left, top, width, height = map(round, face["box"])
        assert changed[top, left : left + width].all()
        assert not changed[top + 5 : top + height - 5, left + 5 : left + width - 5].any()


def test_the_faces_of_a_clip(data: Path, yunet_file: Path, tmp_path: Path) -> None:
    photo: Any = cv2.imread(str(data / "media" / "pyfeat_multi_face.jpg"))
    clip, drawn, report = (tmp_path / name for name in ("clip.mp4", "drawn.mp4", "faces.json"))
    with write_video(clip, Fraction(10)) as write:
        for i in range(4):
            write(i * 100_000, photo[:, :, ::-1] * np.uint8(i != 2))
    result = run("find", clip, "--model", yunet_file, "--output", drawn, "--json", report)
    assert result.exit_code == 0, result.output
    frames = json.loads(report.read_text(encoding="utf-8"))["frames"]
    assert [frame["pts_us"] for frame in frames] == [0, 100_000, 200_000, 300_000]
    assert [len(frame["faces"]) for frame in frames] == [5, 5, 0, 5]
    with av.open(str(drawn)) as container:
        times_s = [frame.time for frame in container.decode(video=0)]
    assert times_s == [0, 0.1, 0.2, 0.3]


def test_haar_says_so(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    for installed in ("installed_blazeface", "installed_retinaface"):
        monkeypatch.setattr(f"dcet.runtime.senses.detectors.choice.{installed}", lambda: None)
    result = run("find", data / "media" / "pyfeat_multi_face.jpg")
    assert result.exit_code == 0
    assert "Faces are found with OpenCV's Haar cascade" in result.stderr
    assert "run: dcet-faces fetch" in result.stderr


def test_bad_files(data: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.png"
    encoded = cv2.imencode(".png", np.arange(30_000, dtype=np.uint8).reshape(100, 100, 3))[1]
    half.write_bytes(encoded.tobytes()[:60])
    junk = tmp_path / "junk.mp4"
    junk.write_bytes(b"junk")
    for file, why in (
        (half, "no JPEG, PNG, WebP or BMP"),
        (junk, "expected a media file"),
        (data / "media" / "whisper_jfk.flac", "it has sound alone"),
    ):
        result = run("find", file)
        assert result.exit_code == 2
        assert f"Error: {file}: " in result.stderr
        assert why in result.stderr


@pytest.mark.parametrize("source", ["photo", "clip"])
def test_an_output_of_no_known_kind(data: Path, tmp_path: Path, source: str) -> None:
    name = "pyfeat_multi_face.jpg" if source == "photo" else "latentsync_demo1.mp4"
    result = run("find", data / "media" / name, "--output", tmp_path / "drawn.xyz")
    assert result.exit_code == 2
    assert "Error: expected the name of a " in result.stderr
    assert "drawn.xyz; name another" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_video_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(AttributeError), write_video(path, Fraction(25)) as write:
        write(0, None)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with write_video(path, Fraction(25)) as write:
        for i, size in enumerate([(31, 33), (90, 60)]):  # odd, and another one
            write(40_000 * i, np.full((*size, 3), 200, np.uint8))
    with av.open(str(path)) as container:
        shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
    assert shapes == [(30, 32, 3)] * 2
