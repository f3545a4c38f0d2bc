"""Pictures beside sound: which of them are looked at, whose faces are used, and what fails."""

from typing import Any

import numpy as np
import pytest

from dcet.live import Event, LiveSession, SeenFaces
from dcet.runtime import Bundle
from dcet.runtime.errors import InputError
from dcet.runtime.senses.face import Pixels
from tests.live.scenes import RATE_HZ, Finder, adds_up, finals, picture, sound, taken

VOICED = [(0.5, 4.5)]


def play(
    session: LiveSession,
    frames_a_second: float,
    *,
    people: tuple[int, ...] = (1,),
    block_ms: int = 20,
    camera: str = "camera",
    seconds: float = 5,
) -> None:
    """Push a scene in the order in which it would come: a block of sound when it has been heard."""
    pcm = sound(seconds, VOICED)
    size = RATE_HZ * block_ms // 1000
    blocks: list[tuple[int, int, Any]] = [
        ((begin + size) * 1_000_000 // RATE_HZ, 1, begin) for begin in range(0, len(pcm), size)
    ]
    frames: list[tuple[int, int, Any]] = [
        (round(i * 1e6 / frames_a_second), 0, i) for i in range(int(seconds * frames_a_second))
    ]
    for at_us, is_sound, i in sorted(blocks + frames):
        if is_sound:
            session.push_audio(pcm[i : i + size], i * 1_000_000 // RATE_HZ)
        else:
            session.push_frame(picture(*people, noise=i), at_us, track=camera)


def only(events: list[Event]) -> Event:
    (event,) = finals(events)
    assert event.estimate is not None
    return event


@pytest.mark.parametrize("frames_a_second", [4, 15, 30, 60])
def test_any_rate_of_frames_gives_the_same_turn_and_estimate(
    hearing: Bundle, frames_a_second: float
) -> None:
    finals_of = []
    for rate in (2, frames_a_second):
        session = LiveSession(hearing, threaded=False, attribution=False, face_finder=Finder())
        play(session, rate)
        finals_of.append(only(taken(session)))
        assert adds_up(session)
    one, other = finals_of
    assert (one.start_us, one.end_us) == (other.start_us, other.end_us)
    assert one.estimate is not None
    assert other.estimate is not None
    assert one.estimate.modality_weights["face"] > 0
    assert one.estimate.probabilities == pytest.approx(other.estimate.probabilities, abs=0.02)


def test_blocks_of_a_second_give_what_blocks_of_10_ms_give(hearing: Bundle) -> None:
    finals_of = []
    for block_ms in (10, 1000):
        session = LiveSession(hearing, threaded=False, attribution=False, face_finder=Finder())
        play(session, 10, block_ms=block_ms)
        finals_of.append(only(taken(session)))
    one, other = finals_of
    assert one.estimate is not None
    assert other.estimate is not None
    assert one.estimate.probabilities == other.estimate.probabilities


def test_faces_are_searched_four_times_a_second_and_told(hearing: Bundle) -> None:
    seen: list[SeenFaces] = []
    finder = Finder()
    session = LiveSession(hearing, threaded=False, face_finder=finder, on_faces=seen.append)
    play(session, 30)
    session.close()
    assert finder.searched == 20
    assert [each.pts_us // 250_000 for each in seen] == list(range(20))
    assert {face.track_id for each in seen for face in each.faces} == {1}
    assert seen[-1].faces[0].box == (0, 0, 60, 60)


def test_two_faces_are_nobodys_where_nobody_says_who_speaks(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False, attribution=False, face_finder=Finder())
    play(session, 10, people=(1, 2))
    event = only(taken(session))
    assert event.estimate is not None
    assert event.estimate.modality_weights["face"] == 0


def test_the_hosts_word_on_whose_tracks_those_are_wins(hearing: Bundle) -> None:
    speakers = {"mic": "Ann", "ann's camera": "Ann", "bob's camera": "Bob"}
    told = {}
    for camera in ("ann's camera", "bob's camera"):
        session = LiveSession(hearing, threaded=False, speakers=speakers, face_finder=Finder())
        play(session, 10, camera=camera)
        told[camera] = only(taken(session))
    assert {event.speaker for event in told.values()} == {"Ann"}
    assert {event.speaker_confidence for event in told.values()} == {1}
    weights = {
        camera: event.estimate and event.estimate.modality_weights["face"]
        for camera, event in told.items()
    }
    assert weights["ann's camera"]
    assert weights["bob's camera"] == 0


def only_trouble(hearing: Bundle, *pictures: Any) -> tuple[LiveSession, Event]:
    """A turn during which these pictures come four times a second, the last one again and again."""
    session = LiveSession(hearing, threaded=False, face_finder=Finder())
    pcm = sound(6, [(0.5, 5)])
    for i in range(24):
        session.push_frame(pictures[min(i, len(pictures) - 1)], i * 250_000)
        session.push_audio(pcm[i * 4000 : (i + 1) * 4000], i * 250_000)
    event = only(taken(session))
    assert adds_up(session)
    return session, event


def test_a_camera_that_freezes_is_named(hearing: Bundle) -> None:
    session, event = only_trouble(hearing, picture(noise=1), picture(noise=2))
    assert event.left_out == ("face: camera 'camera': the picture is frozen",)
    assert session.counters["notes"]["frames dropped: the picture is frozen"] > 0


def test_a_camera_that_turns_black_is_named(hearing: Bundle) -> None:
    _, event = only_trouble(hearing, np.zeros((120, 240, 3), np.uint8))
    assert event.left_out == ("face: camera 'camera': the picture is black",)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "a file",
        b"not a picture",
        np.zeros((120, 240, 3), np.float32),
        np.zeros((120, 240, 7), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
    ],
)
def test_a_picture_that_is_none_is_dropped_and_named(hearing: Bundle, wrong: Any) -> None:
    session, event = only_trouble(hearing, wrong)
    assert event.left_out[0].startswith("face: camera 'camera': ")
    assert session.counters["frames"]["dropped"] == 24


def test_frames_of_another_size_or_type_in_the_middle_are_taken_as_they_are(
    hearing: Bundle,
) -> None:
    grey = picture(1)[..., 0]
    larger = np.full((240, 480, 3), 128, np.uint8)
    larger[:120, :240] = picture(1)
    alpha = np.dstack([picture(1), np.zeros((120, 240), np.uint8)])
    session, _ = only_trouble(hearing, picture(1), grey, larger, alpha, np.asfortranarray(larger))
    assert session.counters["frames"]["used"] > 4


def test_late_frames_and_clocks_that_are_set_back(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False, face_finder=Finder())
    for at_us in (5_000_000, 4_500_000, 5_000_000, 1_000_000, 1_250_000):
        session.push_frame(picture(1, noise=at_us // 1000), at_us)
    session.close()
    assert session.counters["frames"]["late"] == 2
    assert session.counters["frames"]["used"] == 3
    assert session.counters["notes"]["jumps of a camera's clock"] == 1


def test_frames_that_come_faster_than_they_are_looked_at_make_room(hearing: Bundle) -> None:
    class Slow(Finder):
        def find_all(self, frame: Pixels) -> Any:
            pixels.append(frame.copy())
            return super().find_all(frame)

    pixels: list[Pixels] = []
    session = LiveSession(hearing, face_finder=Slow())
    image = picture(1)
    for i in range(200):
        image[:] = picture(1, noise=i)
        session.push_frame(image, i * 5_000_000)  # so far apart that faces are searched in each
        image[:] = 0  # it is the session's own copy that is looked at
    session.close()
    counts = session.counters["frames"]
    assert counts["used"] + counts["dropped"] == 200
    assert all(each.max() > 0 for each in pixels)
    assert pixels[-1][119, 239, 0] == 199  # the last one is never dropped


def test_too_many_cameras_are_refused(hearing: Bundle) -> None:
    with LiveSession(hearing, threaded=False, face_finder=Finder()) as session:
        for i in range(16):
            session.push_frame(picture(1), 0, track=f"camera {i}")
        with pytest.raises(InputError, match="at most 16 cameras"):
            session.push_frame(picture(1), 0, track="another")
        with pytest.raises(InputError, match="colors: expected 'rgb' or 'bgr'"):
            session.push_frame(picture(1), 0, colors="yuv")  # type: ignore[arg-type]
    assert adds_up(session)
