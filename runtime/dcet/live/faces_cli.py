"""`dcet-faces`: the face detector fetched, and the faces of a picture or a clip found."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dcet.live.media.face_fetch import fetch_yunet
from dcet.live.media.media_file import MediaFile, Picture
from dcet.live.media.video_file import write_video
from dcet.runtime.cli.command import Group
from dcet.runtime.cli.options import json_option
from dcet.runtime.cli.output import output_json, report_console
from dcet.runtime.cli.paths import OutputFile
from dcet.runtime.errors import ConfigError, UnusableMedia
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_path
from dcet.runtime.senses.detectors.fetched import URL
from dcet.runtime.senses.face import Pixels, to_rgb
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace
from dcet.runtime.senses.picture_size import picture_size
from dcet.runtime.turn import Unusable

HEADER_BYTES = 1_000_000  # in which a picture says how large it is
GREEN = (60, 220, 60)  # RGB


@click.group(cls=Group)
def main() -> None:
    """Find faces in pictures and clips, and fetch the detector that finds small ones.

    \b
    Example:
      dcet-faces fetch
      dcet-faces find meeting.mp4 --output drawn.mp4
    """


@main.command()
@click.option("--url", default=URL, help="Another address of the same file.", metavar="URL")
def fetch(url: str) -> None:
    """Fetch YuNet (0.23 MB, Apache-2.0) into the user's cache, where DCET then finds it.

    It comes from OpenCV's repository of models, and is checked against a hash that DCET knows.

    \b
    Example:
      dcet-faces fetch
    """
    path, is_new = fetch_yunet(url)
    click.echo(f"{path}: {'fetched' if is_new else 'there already'}; faces are found with it")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YuNet ONNX file; by default the best detector that is here.",
)
@click.option(
    "--output",
    type=OutputFile(),
    help="Draw the faces into a copy: .png or .jpg of a picture, .mp4 of a clip.",
)
@json_option("Write the faces of each frame as JSON")
def find(file: Path, model: Path | None, output: Path | None, json_path: Path | None) -> None:
    """Find all faces in FILE, a picture or a clip.

    \b
    Example:
      dcet-faces find photo.jpg --output drawn.png
      dcet-faces find meeting.mp4 --json faces.json
    """
    finder = FaceFinder(model)
    for note in finder.degraded:
        click.echo(f"Faces are {note}", err=True)
    picture = _read_picture(file)
    clip = None if picture else _open_clip(file)
    frames: list[dict[str, Any]] = []
    with _drawing(output, clip) as draw:
        for shown in clip or [picture]:
            if isinstance(shown, Picture):
                found = finder.find_all(shown.pixels)
                frames.append(_as_dict(shown, found))
                draw(shown, found)
    for damage in clip.damage if clip else ():
        click.echo(damage, err=True)
    output_json(json_path, {"detector": finder.detector, "frames": frames})
    faces = sum(len(frame["faces"]) for frame in frames)
    report_console(json_path).print(
        f"{file}: {faces} faces in {len(frames)} frames, found with {finder.detector}",
        soft_wrap=True,
    )


def draw_faces(pixels: Pixels, faces: list[FoundFace]) -> Pixels:
    """Return a copy of a picture (height, width, 3) with a box and the confidence of each face."""
    cv2 = need("cv2", extra="live")
    drawn = pixels.copy()
    thick = max(1, round(max(pixels.shape) / 500))
    for face in faces:
        left, top, width, height = (round(float(side)) for side in face.box)
        cv2.rectangle(drawn, (left, top), (left + width, top + height), GREEN, thick)
        label, corner = f"{face.confidence:.2f}", (left, top - 2 * thick)
        cv2.putText(drawn, label, corner, cv2.FONT_HERSHEY_PLAIN, thick, GREEN, thick)
    return drawn


def _read_picture(file: Path) -> Picture | None:
    """Read a picture; None of another file. Raises UnusableMedia where it is broken."""
    with file.open("rb") as opened:
        data = opened.read(HEADER_BYTES)
        if picture_size(data) is None:
            return None
        data += opened.read()
    try:
        return Picture(0, to_rgb(data, "rgb"))
    except Unusable as reason:
        raise UnusableMedia(f"{file}: {reason}; give another file") from reason


def _open_clip(file: Path) -> MediaFile:
    clip = MediaFile(file)
    if not clip.has_pictures:
        raise UnusableMedia(f"{file}: expected pictures, it has sound alone; give another file")
    return clip


@contextmanager
def _drawing(
    output: Path | None, clip: MediaFile | None
) -> Iterator[Callable[[Picture, list[FoundFace]], None]]:
    """Yield what draws faces into the output, if there is one: a picture, or all of a clip."""
    if output is None:
        yield lambda shown, found: None
    elif clip is None:
        yield lambda shown, found: _write_picture(output, draw_faces(shown.pixels, found))
    else:
        with write_video(output, clip.frame_rate) as write:
            yield lambda shown, found: write(shown.pts_us, draw_faces(shown.pixels, found))


def _as_dict(picture: Picture, found: list[FoundFace]) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    faces = [
        {"box": [round(float(side), 1) for side in face.box], "confidence": face.confidence}
        for face in found
    ]
    return {"pts_us": picture.pts_us, "width": width, "height": height, "faces": faces}


def _write_picture(path: Path, pixels: Pixels) -> None:
    cv2 = need("cv2", extra="live")
    try:
        _, encoded = cv2.imencode(path.suffix, pixels[..., ::-1])
    except cv2.error as error:
        raise ConfigError(
            f"expected the name of a picture, .png or .jpg, got {path}; name another"
        ) from error
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
