"""The speaker's face, found in whole frames and followed."""

import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dcet.runtime import Bundle, Conversation, FaceFinder
from dcet.runtime.errors import ConfigError, EmptyTurn
from dcet.runtime.senses import face_finder
from dcet.runtime.senses.appearance import Appearance
from dcet.runtime.senses.detectors import choice
from dcet.runtime.senses.detectors.choice import LAST_RESORT, best_detector
from dcet.runtime.senses.face_finder import FoundFace, shared_finder
from tests.runtime.signals import face

Array = NDArray[Any]

HAAR = f"face: {LAST_RESORT}"


@pytest.fixture(autouse=True)
def haar_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No better detector is here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choice, "installed_retinaface", lambda: None)
    monkeypatch.setattr(choice, "installed_blazeface", lambda: None)


@pytest.fixture(scope="module")
def photo(data: Path) -> Array:
    """(667, 1000, 3) RGB, with several faces."""
    image = cv2.imread(str(data / "media" / "pyfeat_multi_face.jpg"))
    assert image is not None
    return image[..., ::-1].copy()


@pytest.fixture(scope="module")
def clip(data: Path) -> list[Array]:
    """Ten frames (1920, 1080, 3) RGB of a talking head, one a second."""
    video = cv2.VideoCapture(str(data / "media" / "latentsync_demo1.mp4"))
    frames = []
    for second in range(10):
        video.set(cv2.CAP_PROP_POS_FRAMES, 25 * second)
        was_read, frame = video.read()
        if not was_read:
            pytest.skip("this OpenCV cannot decode HEVC")
        frames.append(frame[..., ::-1].copy())
    return frames


def frame(side: int = 240) -> Array:
    """(side, side, 3) uint8 that says where each pixel is: row, column, and something sharp."""
    rows, columns = np.indices((side, side), np.uint8)
    return np.stack([rows, columns, (rows // 4 + columns // 4) % 2 * 200], axis=2, dtype=np.uint8)


def alike() -> Array:
    """(240, 240, 3) uint8 in which all places look the same."""
    return np.random.default_rng(0).integers(0, 256, (240, 240, 3), np.uint8)


def address(part: Array) -> int:
    """Where the frame begins of which this is a part."""
    whole = part.base if isinstance(part.base, np.ndarray) else part
    return int(whole.ctypes.data)


class Boxes(FaceFinder):
    """Finds what it is told to find in a `frame`, of what lies wholly in the part searched."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        super().__init__()
        self.boxes = boxes
        self.searched: list[tuple[int, ...]] = []
        self.nears: list[Array | None] = []
        self.is_blind = False

    def find(
        self, frame: Array, near: Array | None = None, look: Appearance | None = None
    ) -> FoundFace | None:
        self.nears.append(near)
        return None if self.is_blind else super().find(frame, near, look)

    def _search(self, part: Array, scale: float = 1.0) -> tuple[Array, Array]:
        self.searched.append(part.shape)
        top, left = divmod((part.ctypes.data - address(part)) // 3, 240)
        found = np.array(self.boxes, np.float32).reshape(-1, 4) - (left, top, 0, 0)
        ends = found[:, :2] + found[:, 2:]
        inside = (found[:, :2] >= 0).all(axis=1) & (ends <= part.shape[1::-1]).all(axis=1)
        scores = np.linspace(0.9, 0.7, len(found), dtype=np.float32)
        return found[inside].astype(np.float32), scores[inside]


LEFT, RIGHT, LARGE = (10, 20, 40, 50), (190, 20, 40, 50), (90, 60, 90, 90)


def near(x: float, y: float, side: float) -> Array:
    """The place of a face in a `frame`, in pixels."""
    return np.array([x, y, side], np.float32) / 240


def test_the_largest_comes_first_then_the_nearest() -> None:
    finder = Boxes(LEFT, LARGE, RIGHT)
    largest = finder.find(frame())
    assert largest is not None
    np.testing.assert_allclose(largest.place, [135 / 240, 105 / 240, 90 / 240])
    assert largest.confidence == pytest.approx(0.8)
    for box, x in ((LEFT, 20), (RIGHT, 220), (LARGE, 130)):
        nearest = finder.find(frame(), near(x, 70, 60))
        assert nearest is not None
        assert np.array_equal(nearest.box, np.array(box, np.float32))


def test_all_faces_are_found_and_the_surest_come_first() -> None:
    finder = Boxes(LEFT, LARGE, RIGHT)
    found = finder.find_all(frame())
    assert [tuple(face.box) for face in found] == [LEFT, LARGE, RIGHT]
    assert [face.confidence for face in found] == pytest.approx([0.9, 0.8, 0.7])
    finder.boxes = ()
    assert finder.find_all(frame()) == []


def test_a_followed_face_is_looked_for_where_it_was() -> None:
    """And nowhere else: who is there is another person."""
    finder = Boxes(LEFT)
    first = finder.find(frame())
    assert first is not None
    again = finder.find(frame(), first.place)
    assert again is not None
    np.testing.assert_allclose(again.place, first.place)
    assert np.array_equal(again.pixels, first.pixels)
    (whole, around) = finder.searched
    assert whole == (240, 240, 3)
    assert around[0] <= 45 + 80  # from the upper edge to 1.6 sides below the middle
    assert around[1] <= 30 + 80
    finder.boxes = (RIGHT,)
    assert finder.find(frame(), first.place) is None
    assert finder.searched[2:] == [around]


@pytest.mark.parametrize(
    ("where", "is_taken"),
    [
        (near(90, 120, 50), True),  # 30 pixels away
        (near(120, 159, 50), True),  # 39: 0.8 sides
        (near(120, 161, 50), False),
        (near(120, 120, 32), True),  # nearly 1.6 times as large now
        (near(120, 120, 31), False),
        (near(120, 120, 79), True),
        (near(120, 120, 81), False),
        (near(240, 0, 0), False),
        (near(-500, 120, 50), False),
    ],
)
def test_a_face_that_cannot_be_the_last_one_is_not_taken(where: Array, is_taken: bool) -> None:
    finder = Boxes((95, 95, 50, 50))
    assert (finder.find(frame(), where) is not None) == is_taken


@pytest.mark.parametrize("detector", ["haar", "yunet"])
def test_who_leaves_is_missed_and_not_replaced(data: Path, photo: Array, detector: str) -> None:
    """Each of the people of a photo in turn goes, where the others stay."""
    yunet = data / "face_detector" / "yunet_s_640_640.onnx"
    finder = FaceFinder(yunet if detector == "yunet" else None)
    assert finder.detector == detector
    people = finder.find_all(photo)
    assert len(people) >= 4
    for person in people:
        again = finder.find(photo, person.place)
        assert again is not None
        np.testing.assert_allclose(again.place, person.place, atol=0.02)
        left, top, width, height = person.box.astype(int)
        alone = photo.copy()
        alone[top : top + height, left : left + width] = 90
        assert finder.find(alone, person.place) is None


def test_large_frames_are_searched_at_480_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = FaceFinder()
    searched = []

    def detect(part: Array) -> tuple[Array, Array]:
        searched.append(part.shape)
        return np.array([LARGE], np.float32), np.array([0.5], np.float32)

    monkeypatch.setattr(finder, "_detect", detect)
    large = np.zeros((1920, 1080, 3), np.uint8)
    large[240:600, 360:720] = face(360)  # LARGE in pixels of the whole frame
    found = finder.find(large)
    assert searched == [(480, 270, 3)]
    assert found is not None
    expected = cv2.resize(face(360), (96, 96), interpolation=cv2.INTER_AREA)
    assert np.array_equal(found.pixels, expected)
    np.testing.assert_allclose(found.place, [540 / 1080, 420 / 1920, 360 / 1920])


@pytest.mark.parametrize(
    "box", [(-20, -30, 60, 80), (200, 200, 80, 60), (0, 0, 240, 240), (-50, -50, 400, 400)]
)
def test_a_crop_stays_inside_its_frame(
    monkeypatch: pytest.MonkeyPatch, box: tuple[float, float, float, float]
) -> None:
    """Square and full of what was there, also where the box is not."""
    finder = FaceFinder()
    boxes = np.array([box], np.float32), np.array([0.5], np.float32)
    monkeypatch.setattr(finder, "_detect", lambda part: boxes)
    found = finder.find(np.full((240, 240, 3), 255, np.uint8))
    assert found is not None
    assert found.pixels.shape == (96, 96, 3)
    assert (found.pixels == 255).all()


# Looks


def scene(**people: Array) -> Array:
    """(480, 960, 3): people, as (480, 270, 3), at the left, in the middle or at the right."""
    picture = np.full((480, 960, 3), 120, np.uint8)
    for where, person in people.items():
        begin = {"left": 0, "middle": 345, "right": 690}[where]
        picture[:, begin : begin + 270] = person
    return picture


@pytest.fixture(scope="module")
def ann(clip: list[Array]) -> list[Array]:
    """Frames (480, 270, 3) of one person."""
    return [cv2.resize(shown, (270, 480), interpolation=cv2.INTER_AREA) for shown in clip]


@pytest.fixture(scope="module")
def ben(photo: Array) -> Array:
    """A frame (480, 270, 3) of another, whose face is where Ann's is, and as large."""
    person: Any = cv2.resize(photo[200:540, 560:760], (270, 480), interpolation=cv2.INTER_AREA)
    return np.asarray(person)


@pytest.fixture
def finder(data: Path) -> FaceFinder:
    return FaceFinder(data / "face_detector" / "yunet_s_640_640.onnx")


def seen(conversation: Conversation, *frames: Array) -> str | None:
    """Where the speaker's face is after a turn; None where it is missing."""
    estimate = conversation.turn("Ann", "fine", faces=frames, whole_frames=True)
    if any("faces[0]: the speaker's face is not found" in note for note in estimate.degraded):
        return None
    assert estimate.modality_weights["face"] > 0
    face = conversation.encode("Ann", faces=[frames[-1]], whole_frames=True).face
    assert face is not None
    return ("left", "middle", "right")[int(face.place[0] * 3)]


def test_who_moves_is_found_and_who_leaves_is_not_replaced(
    bundle: Bundle, finder: FaceFinder, ann: list[Array], ben: Array
) -> None:
    """The speaker may change seats, alone or not; nobody else in theirs is taken for them."""
    conversation = Conversation(bundle, face_finder=finder)
    assert seen(conversation, scene(left=ann[0])) == "left"
    assert seen(conversation, scene(right=ann[3])) == "right"
    assert seen(conversation, scene(right=ann[4], left=ben)) == "right"
    assert seen(conversation, scene(left=ben)) is None
    assert seen(conversation, scene(right=ben)) is None
    assert seen(conversation, scene()) is None
    assert seen(conversation, scene(middle=ann[7], right=ben)) == "middle"
    assert seen(conversation, scene(middle=ben, left=ann[9])) == "left"


def test_the_looks_of_a_speaker_are_forgotten_and_saved_with_them(
    bundle: Bundle, finder: FaceFinder, ann: list[Array], ben: Array, tmp_path: Path
) -> None:
    conversation = Conversation(bundle, face_finder=finder)
    assert seen(conversation, scene(left=ann[0])) == "left"
    conversation.save(tmp_path / "saved")
    restored = Conversation.restore(tmp_path / "saved", bundle, face_finder=finder)
    assert seen(restored, scene(left=ben)) is None
    assert seen(restored, scene(left=ben, right=ann[5])) == "right"
    conversation.forget("Ann")
    assert seen(conversation, scene(left=ben)) == "left"


def test_a_frame_without_a_face() -> None:
    finder = FaceFinder()
    assert finder.find(np.zeros((480, 640, 3), np.uint8)) is None
    assert finder.find(np.zeros((12, 12, 3), np.uint8)) is None
    assert finder.find(np.full((12, 5000, 3), 90, np.uint8)) is None


def test_the_faces_of_a_photo(photo: Array) -> None:
    finder = FaceFinder()
    largest = finder.find(photo)
    assert largest is not None
    assert 0 < largest.confidence <= 1
    assert largest.pixels.shape == (96, 96, 3)
    faces = finder.find_all(photo)
    assert len(faces) >= 4
    assert max(faces, key=lambda face: float(face.box[2:].prod())).box.tolist() == (
        largest.box.tolist()
    )
    for found in faces:
        x, y = found.box[:2] + found.box[2:] / 2
        np.testing.assert_allclose(found.place[:2], [x / 1000, y / 667], rtol=1e-5)


def test_a_face_is_followed_into_a_smaller_frame(photo: Array) -> None:
    finder = FaceFinder()
    found = finder.find(photo)
    assert found is not None
    half: Any = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    again = finder.find(half, found.place)
    assert again is not None
    np.testing.assert_allclose(again.place, found.place, atol=0.02)


def test_faces_of_a_moment_ago_are_found_again(photo: Array) -> None:
    finder = FaceFinder()
    before = finder.find_all(photo)
    moved = np.roll(photo, (3, 5), axis=(0, 1))
    again = finder.find_again(moved, before)
    assert again is not None
    assert [face.confidence for face in again] == sorted(
        (f.confidence for f in again), reverse=True
    )
    for box in (known.box for known in before):
        nearest = min(np.abs(found.box - box - (5, 3, 0, 0)).max() for found in again)
        assert nearest < 0.1 * box[2]
    assert finder.find_again(photo, [*before, before[0]]) is None  # two cannot be in one place
    assert finder.find_again(np.zeros_like(photo), before) is None


def test_a_talking_head(clip: list[Array]) -> None:
    """Found in every frame, hardly moving, surely."""
    finder = FaceFinder()
    place, places = None, []
    for picture in clip:
        found = finder.find(picture, place)
        assert found is not None
        assert found.confidence > 0.8
        place = found.place
        places.append(place)
    assert np.ptp(np.array(places), axis=0).max() < 0.1
    for picture, known in zip(clip, places, strict=True):  # the same as without following
        alone = finder.find(picture)
        assert alone is not None
        np.testing.assert_allclose(known, alone.place, atol=0.03)


def test_a_conversation_on_frames(bundle: Bundle, clip: list[Array]) -> None:
    conversation = Conversation(bundle)
    encoded = [cv2.imencode(".jpg", shown[..., ::-1])[1].tobytes() for shown in clip[:3]]
    estimate = conversation.turn("Ann", faces=encoded, whole_frames=True)
    assert estimate.degraded == (HAAR,)
    assert estimate.modality_weights["face"] == pytest.approx(1)
    assert estimate.latency_ms["find"] > 0
    assert 0.2 < estimate.quality["face"] <= 1
    black = np.zeros_like(clip[0])
    mixed = conversation.turn("Ann", faces=[black, clip[3]], whole_frames=True)
    assert mixed.degraded == (
        "face: faces[0]: the speaker's face is not found",
        HAAR,
    )


def test_all_that_a_turn_takes_is_in_its_stages(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the face finder has yet to be made, which takes 50 ms here."""

    def slowly() -> Any:
        time.sleep(0.05)
        return best_detector()

    monkeypatch.setattr(face_finder, "best_detector", slowly)
    untimed_ms = []
    for _ in range(3):  # a busy machine may take its time between any two stages, but not each time
        monkeypatch.setattr(face_finder, "_shared", threading.local())
        first, second = (
            Conversation(bundle).turn("Ann", "fine", faces=[frame()], whole_frames=True)
            for _ in range(2)
        )
        *stages_ms, total_ms = first.latency_ms.values()
        untimed_ms.append(total_ms - sum(stages_ms))
        assert first.latency_ms["find"] >= 50
        assert second.latency_ms["find"] < first.latency_ms["find"]
    assert 0 <= min(untimed_ms) < 3


def test_the_conversations_of_a_thread_share_a_finder_and_threads_do_not() -> None:
    others: list[FaceFinder] = []
    thread = threading.Thread(target=lambda: others.append(shared_finder()))
    thread.start()
    thread.join()
    assert shared_finder() is shared_finder() is not others[0]


# Boxes that the host knows


def told(bundle: Bundle, box: Any, *frames: Array) -> tuple[Conversation, Any]:
    """Turn with this box and a finder that must not be asked."""
    finder = Boxes()
    conversation = Conversation(bundle, face_finder=finder)
    given = frames or (frame(),)
    estimate = conversation.turn("Ann", "fine", faces=given, whole_frames=True, face_box=box)
    assert finder.nears == []
    return conversation, estimate


def test_a_box_tells_where_the_face_is(bundle: Bundle) -> None:
    """As if the image had been cut out there, and followed from there."""
    _, estimate = told(bundle, LARGE)
    crop: Any = cv2.resize(frame()[60:150, 90:180], (96, 96), interpolation=cv2.INTER_AREA)
    expected = Conversation(bundle).turn("Ann", "fine", faces=[crop])
    assert estimate.probabilities == expected.probabilities
    assert estimate.degraded == ()
    finder = Boxes(LEFT, LARGE)
    conversation = Conversation(bundle, face_finder=finder)
    conversation.turn("Ann", faces=[frame()], whole_frames=True, face_box=np.array(RIGHT))
    assert place(conversation, finder, "Ann") == [210, 45]
    with pytest.raises(EmptyTurn, match="the speaker's face is not found"):
        conversation.turn("Ann", faces=[frame()], whole_frames=True)


def test_a_box_for_each_frame(bundle: Bundle) -> None:
    """Also where not all frames are used: each keeps its own."""
    other = frame()[::-1].copy()
    frames = [frame(), other] * 6
    boxes = [LEFT, RIGHT] * 6
    _, estimate = told(bundle, boxes, *frames)
    crops: list[Any] = [
        cv2.resize(
            image[y : y + h, max(0, x - 5) : x - 5 + h],
            (96, 96),
            interpolation=cv2.INTER_AREA,
        )
        for image, (x, y, _, h) in zip(frames, boxes, strict=True)
    ]
    expected = Conversation(bundle).turn("Ann", "fine", faces=crops)
    assert estimate.probabilities == expected.probabilities


@pytest.mark.parametrize(
    "box", [(500, 20, 40, 40), (-30, 20, 40, 40), (20, 20, 40, 8), (20, 20, -40, 40)]
)
def test_a_box_outside_its_frame_is_named(bundle: Bundle, box: tuple[int, ...]) -> None:
    _, estimate = told(bundle, box)
    (reason,) = estimate.degraded
    assert reason == (
        "face: faces[0]: expected a box of at least 12×12 pixels whose middle is in the frame of "
        f"240×240, got left, top, width and height {list(map(float, box))}"
    )


# What a conversation remembers of places


def place(conversation: Conversation, finder: Boxes, speaker: str) -> list[float] | None:
    """Return where this speaker's face is searched for first, and leave the memory as it was."""
    finder.is_blind = True
    with pytest.raises(EmptyTurn):
        conversation.turn(speaker, faces=[frame()], whole_frames=True)
    finder.is_blind = False
    near = finder.nears[-1]
    return None if near is None else (near[:2] * 240).round().tolist()


def test_each_speaker_keeps_a_place_of_their_own(bundle: Bundle) -> None:
    finder = Boxes(LARGE)
    conversation = Conversation(bundle, face_finder=finder)
    conversation.turn("Ann", faces=[alike()], whole_frames=True)
    finder.boxes = (RIGHT,)
    conversation.turn("Ben", faces=[alike()], whole_frames=True)
    conversation.turn("Cem", "fine")
    assert place(conversation, finder, "Ann") == [135, 105]
    assert place(conversation, finder, "Ben") == [210, 45]
    assert place(conversation, finder, "Cem") is None

    finder.boxes = (LEFT, RIGHT, (110, 30, 60, 60))  # the middle one is nearest to Ann's
    conversation.turn("Ann", faces=[alike()], whole_frames=True)
    conversation.turn("Ben", faces=[alike()], whole_frames=True)
    assert place(conversation, finder, "Ann") == [140, 60]
    assert place(conversation, finder, "Ben") == [210, 45]


def test_a_face_is_followed_from_frame_to_frame(bundle: Bundle) -> None:
    """Step by step it comes nearer to where the other one began than to its own beginning."""

    class Walking(Boxes):
        def _search(self, part: Array, scale: float = 1.0) -> tuple[Array, Array]:
            x = 10 + 25 * len(self.searched)
            self.boxes = ((x, 20, 50, 50), (180 - x, 150, 49, 49))
            return super()._search(part, scale)

    finder = Walking()
    conversation = Conversation(bundle, face_finder=finder)
    conversation.turn("Ann", faces=[alike()] * 6, whole_frames=True)
    assert place(conversation, finder, "Ann") == [160, 45]


def test_a_place_is_only_kept_when_answered(bundle: Bundle) -> None:
    finder = Boxes(LEFT)
    conversation = Conversation(bundle, face_finder=finder)
    conversation.turn("Ann", faces=[frame()], whole_frames=True)
    finder.boxes = ()
    with pytest.raises(EmptyTurn, match=r"faces\[0\]: the speaker's face is not found"):
        conversation.turn("Ann", faces=[frame()], whole_frames=True)
    assert place(conversation, finder, "Ann") == [30, 45]
    conversation.turn("Ann", "fine")
    conversation.turn("Ann", faces=[face(64)])
    assert place(conversation, finder, "Ann") == [30, 45]


def test_a_place_is_forgotten(bundle: Bundle) -> None:
    finder = Boxes(LEFT)

    def seen(**options: Any) -> Conversation:
        conversation = Conversation(bundle, face_finder=finder, **options)
        conversation.turn("Ann", faces=[frame()], whole_frames=True)
        assert place(conversation, finder, "Ann") == [30, 45]
        return conversation

    forgotten, reset, evicted = seen(), seen(), seen(max_speakers=1)
    forgotten.forget("Ann")
    reset.reset()
    evicted.turn("Ben", "fine")
    for conversation in (forgotten, reset, evicted):
        assert place(conversation, finder, "Ann") is None


def test_confidence_lowers_the_quality(bundle: Bundle) -> None:
    sure = Conversation(bundle, face_finder=Boxes(LARGE))
    unsure = Conversation(bundle, face_finder=Boxes(LEFT, LEFT, LARGE))  # 0.7 of LARGE
    high = sure.turn("Ann", faces=[frame()], whole_frames=True).quality["face"]
    low = unsure.turn("Ann", faces=[frame()], whole_frames=True).quality["face"]
    assert low == pytest.approx(high * 0.7 / 0.9, rel=1e-5)


# YuNet


def write_yunet(path: Path, size: tuple[str | int, str | int] = ("h", "w")) -> Path:
    """A network with YuNet's outputs, for frames of 64×64: one face at (16, 16), 32 wide.

    size: height and width, as the file names its input
    """
    constants: dict[str, Array] = {
        "one": np.array([1, 1, 1], np.int64),
        "zero": np.zeros((1, 1, 1, 1), np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "one"], ["nil"]),
    ]
    outputs = []
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            name = f"{kind}_{stride}"
            value = np.zeros((1, (64 // stride) ** 2, width), np.float32)
            if stride == 32 and width == 1:
                value[0, 3] = 0.9
            constants[f"{name}_value"] = value
            nodes.append(helper.make_node("Add", [f"{name}_value", "nil"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))
    graph = helper.make_graph(
        nodes,
        "yunet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, *size))],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 13)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    )
    return path


@pytest.mark.parametrize("size", [("h", "w"), (640, 640), (128, 320)])
def test_yunet(tmp_path: Path, size: tuple[str | int, str | int]) -> None:
    """Whatever size of picture it was exported for."""
    found = FaceFinder(write_yunet(tmp_path / "yunet.onnx", size)).find(face(64))
    assert found is not None
    assert found.confidence == pytest.approx(0.9)
    np.testing.assert_allclose(found.place, [0.5, 0.5, 0.5])
    expected = cv2.resize(face(64)[16:48, 16:48], (96, 96), interpolation=cv2.INTER_AREA)
    assert np.array_equal(found.pixels, expected)


@pytest.mark.parametrize("kind", ["nothing", "junk", "another network", "another input"])
def test_a_file_that_is_no_yunet(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "yunet.onnx"
    if kind == "junk":
        path.write_bytes(b"junk")
    elif kind == "another input":
        write_yunet(path, (96, 96))
    elif kind == "another network":
        model = onnx.load(write_yunet(path))
        del model.graph.output[1:]
        del model.graph.node[4:]
        path.write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match=r"yunet\.onnx: expected a YuNet face detector as ONNX"):
        FaceFinder(path)
