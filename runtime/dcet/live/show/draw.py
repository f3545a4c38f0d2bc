"""Draws what is known into a picture: a box a face with name and emotion, and unseen voices."""

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.live.events import SeenFace
from dcet.live.show.scene import COLOURS, Scene
from dcet.runtime.extras import need

UNNAMED = "#8b93a0"  # the colour of who has no estimate
LINES = 320  # so many times as thin as the picture is high
TEXT_SHARE = 1 / 34  # of the picture's shorter side: the height of a line of text
LETTERS_PX = 22.0  # height of the font's letters at scale 1


def draw_scene(pixels: NDArray[np.uint8], scene: Scene, track: str) -> NDArray[np.uint8]:
    """Return a copy of a picture (height, width, 3) RGB of a camera's track with all drawn in.

    Needs the extra `live`.
    """
    cv2 = need("cv2", extra="live")
    drawn = np.ascontiguousarray(pixels).copy()
    faces = scene.faces(track)
    for face in faces:
        _face(cv2, drawn, face, scene)
    named = {face.speaker for face in faces}
    unseen = [name for name in scene.people() if name not in named and scene.seems(name)]
    line = _line_px(drawn)
    for row, name in enumerate(reversed(unseen)):
        text, colour = _told(name, scene)
        _text(cv2, drawn, text, (line // 2, drawn.shape[0] - line // 2 - row * line), colour)
    return drawn


def _face(cv2: Any, drawn: NDArray[np.uint8], face: SeenFace, scene: Scene) -> None:
    text, colour = (
        _told(face.speaker, scene) if face.speaker else (f"face {face.track_id}", UNNAMED)
    )
    left, top, width, height = (round(value) for value in face.box)
    seems = scene.seems(face.speaker)
    is_speaking = seems is not None and seems.event.kind == "interim"
    thin = max(1, drawn.shape[0] // LINES)
    thickness = 2 * thin if is_speaking else thin
    cv2.rectangle(drawn, (left, top), (left + width, top + height), _rgb(colour), thickness)
    line = _line_px(drawn)
    above = top - thickness if top > line else top + height + line
    _text(cv2, drawn, text, (left, above), colour)


def _told(speaker: str, scene: Scene) -> tuple[str, str]:
    """Say who it is and how they seem, and in which colour."""
    seems = scene.seems(speaker)
    if seems is None or seems.event.estimate is None:
        return speaker, UNNAMED
    estimate = seems.event.estimate
    if estimate.abstains is not None:
        return f"{speaker}: unsure", UNNAMED
    share = estimate.probabilities[estimate.emotion]
    return f"{speaker}: {estimate.emotion} {share:.0%}", COLOURS[estimate.emotion]


def _text(
    cv2: Any, drawn: NDArray[np.uint8], text: str, foot: tuple[int, int], colour: str
) -> None:
    """Write a line on a ground of this colour; `foot` is the left lower corner, moved inside."""
    height, width = drawn.shape[:2]
    line = _line_px(drawn)
    scale, thickness = line * 0.62 / LETTERS_PX, max(1, line // 12)
    text = _plain(text)
    (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    left = max(0, min(foot[0], width - wide - line // 2))
    bottom = max(line, min(foot[1], height))
    red, green, blue = _rgb(colour)
    cv2.rectangle(
        drawn, (left, bottom - line), (left + wide + line // 2, bottom), (red, green, blue), -1
    )
    ink = (16, 18, 22) if 0.3 * red + 0.59 * green + 0.11 * blue > 120 else (255, 255, 255)
    cv2.putText(
        drawn,
        text,
        (left + line // 4, bottom - line // 4),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        ink,
        thickness,
        cv2.LINE_AA,
    )


def _line_px(drawn: NDArray[np.uint8]) -> int:
    height, width = drawn.shape[:2]
    return int(max(12, min(height, width) * TEXT_SHARE))


def _plain(text: str) -> str:
    """Write with the letters that OpenCV's font has: accents go, what it has not is a question."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if letter.isprintable())
    bare = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(bare).encode("ascii", "replace").decode()


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
