"""Takes what the host pushes, from any thread, without making it wait."""

import time
from typing import Any

from numpy.typing import NDArray

from dcet.live.inputs import audio_block, seconds_of, spoken_words
from dcet.live.room import WAITING_TEXTS, Room
from dcet.live.timeline import check_pts
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import InputError
from dcet.runtime.turn import Colors, Image, check_faces, check_speaker

WAITING_S = 30.0  # of sound of a track that may wait to be heard


class Pushing:
    """The part of a session that takes streams."""

    _room: Room
    _is_closed: bool

    def push_audio(
        self,
        pcm: NDArray[Any],
        pts_us: int,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        track: str = "mic",
    ) -> None:
        """Give a block of sound, as soon as its last sample was recorded.

        pcm: int16, float32 or float64 in [-1, 1], shape (n,) or (n, channels)
        pts_us: media time of the first sample
        track: names the microphone, or whoever sends it

        Raises InputError.
        """
        block = audio_block(pcm, pts_us, sample_rate_hz, track)
        self._expect_open()
        room, arrived_s = self._room, self._room.hears_now()
        self._room.counters.receive("samples", len(pcm))
        if room.ears is None:
            self._room.do(lambda: self._room.pipeline.audio(block, arrived_s))
            return
        left = len(pcm)
        for piece in seconds_of(block):
            if not room.ears.offer(
                lambda piece=piece: self._room.pipeline.audio(piece, arrived_s),  # type: ignore[misc]
                f"sound of {block.track}",
                len(piece.pcm) / piece.sample_rate_hz,
                WAITING_S,
            ):
                self._room.counters.settle(
                    "samples", "dropped", left, why="too much waits to be heard"
                )
                return
            left -= len(piece.pcm)

    def push_frame(
        self, image: Image, pts_us: int, *, colors: Colors = "rgb", track: str = "camera"
    ) -> None:
        """Give a frame, as soon as it was taken. Those that are not looked at are not copied.

        image: uint8 of shape (height, width) or (height, width, 1, 3 or 4), or the bytes of a
            picture file
        track: names the camera

        Raises InputError.
        """
        check_faces([], colors, True)
        camera, pts_us = check_speaker(track, "track"), check_pts("pts_us", pts_us)
        self._expect_open()
        room, sound_us = self._room, self._room.pipeline.turns.now_us
        room.look(lambda: room.eyes.push(image, pts_us, colors, camera, sound_us))

    def push_text(
        self,
        text: str,
        start_us: int,
        end_us: int,
        *,
        speaker: str | None = None,
        is_final: bool = True,
    ) -> None:
        """Give words and the media time in which they were said.

        is_final: False where later words for that time take their place

        Raises InputError.
        """
        words = spoken_words(text, start_us, end_us, speaker, is_final)
        self._expect_open()
        room, arrived_s = self._room, time.perf_counter()
        room.counters.receive("texts")
        if room.ears is None:
            self._room.do(lambda: self._room.pipeline.text(words, arrived_s))
        elif not room.ears.offer(
            lambda: self._room.pipeline.text(words, arrived_s), "texts", 1, WAITING_TEXTS
        ):
            self._room.counters.settle("texts", "dropped", why="too many wait")

    def _expect_open(self) -> None:
        if self._is_closed:
            raise InputError("expected an open session, got one that is closed; make another one")
