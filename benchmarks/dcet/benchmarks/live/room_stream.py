"""A stream of sound and pictures to measure with: made, of people who speak in turn."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice
from pathlib import Path

import numpy as np

from dcet.live.media.media_file import MediaFile, Picture
from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.extras import need
from dcet.runtime.senses.face import Pixels
from dcet.synthetic.actors import ACTORS, ScriptedTurn, synthesise_audio, synthesise_faces

PAUSE_S = 1.0  # between turns
NOISE = 1e-3  # root mean square: no microphone is without it
LINES = (
    ("Mara", "I got the job! They called me this morning!", "joy"),
    ("Ilya", "That is wonderful, tell me everything about it.", "surprise"),
    ("Noor", "And who is going to look after the shop now?", "neutral"),
    ("Mara", "I thought you would be happy for me.", "sadness"),
    ("Noor", "You could have told us before you went there!", "anger"),
    ("Ilya", "Please, let us not argue about this again.", "fear"),
)
HEIGHT, WIDTH, FACE = 1080, 1920, 330  # pixels
PICTURES = 24  # different ones, shown to and fro
STEP = 6  # pixels that a face moves from one to the next
BLOCK_S = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class RoomStream:
    """Sound and pictures, repeated without end."""

    name: str  # of the pictures
    sound: Floats  # (n,) at 16 kHz
    lines: tuple[tuple[int, int, str], ...]  # samples from which to before which they are said
    pictures: tuple[Pixels, ...]  # RGB of one size

    def blocks(self, block_s: float = BLOCK_S) -> Iterator[tuple[int, Floats]]:
        """Give blocks of sound, each with the time of its first sample in microseconds."""
        samples = round(block_s * SAMPLE_RATE_HZ)
        whole = len(self.sound) // samples
        for number in count():
            start = number % whole * samples
            yield round(number * block_s * 1e6), self.sound[start : start + samples]

    def words(self, block_s: float = BLOCK_S) -> Iterator[tuple[int, int, str]]:
        """Give what is said in such blocks, with its beginning and end in microseconds."""
        samples = round(block_s * SAMPLE_RATE_HZ)
        whole = len(self.sound) // samples * samples
        for number in count():
            for first, end, text in self.lines:
                start_us, end_us = (
                    round((number * whole + at) * 1e6 / SAMPLE_RATE_HZ) for at in (first, end)
                )
                yield start_us, end_us, text

    def frames(self, frame_rate: float) -> Iterator[tuple[int, Pixels]]:
        """Give pictures, each with its time in microseconds."""
        to_and_fro = cycle((*self.pictures, *self.pictures[-2:0:-1]))
        for number, picture in enumerate(to_and_fro):
            yield round(number * 1e6 / frame_rate), picture


def made_stream(film: Path | None = None, *, pause_s: float = PAUSE_S) -> RoomStream:
    """Make a conversation of three, with the first pictures of a film, or 1080p ones that are
    drawn: two faces that sway.

    pause_s: of silence between turns

    Raises UnusableMedia or MissingExtra.
    """
    pause = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.float32)
    parts: list[Floats] = [pause]
    lines = []
    for seed, (name, text, emotion) in enumerate(LINES):
        heard = synthesise_audio(ScriptedTurn(name, text, emotion), ACTORS[name], seed)
        assert heard is not None
        begin = sum(map(len, parts))
        lines.append((begin, begin + len(heard), text))
        parts += [heard.astype(np.float32), pause]
    sound = np.concatenate(parts)
    room = np.random.default_rng(0).normal(0, NOISE, len(sound)).astype(np.float32)
    if film is None:
        return RoomStream("drawn faces", sound + room, tuple(lines), tuple(_drawn()))
    shown = (item.pixels for item in MediaFile(film) if isinstance(item, Picture))
    return RoomStream(film.name, sound + room, tuple(lines), tuple(islice(shown, PICTURES)))


def _drawn() -> Iterator[Pixels]:
    cv2 = need("cv2", extra="live")
    bricks = np.random.default_rng(0).integers(90, 150, (9, 16, 3), np.uint8)
    wall = cv2.resize(bricks, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    faces = []
    for seed, name in enumerate(("Mara", "Ilya")):
        drawn = synthesise_faces(ScriptedTurn(name, "", "joy"), ACTORS[name], seed, frames=1)
        assert drawn is not None
        faces.append(cv2.resize(drawn[0], (FACE, FACE)))
    for number in range(PICTURES):
        picture = wall.copy()
        for place, face in enumerate(faces):
            left = WIDTH // 6 + place * WIDTH // 2 + number * STEP
            picture[HEIGHT // 3 : HEIGHT // 3 + FACE, left : left + FACE] = face
        yield picture
