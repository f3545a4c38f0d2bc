"""What the commands write in the end: the video, what came out in all, and the page."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from dcet.live.media.media_file import MediaFile, Picture
from dcet.live.media.video_file import write_video
from dcet.live.replay import track_names
from dcet.live.session import LiveSession
from dcet.live.show.draw import draw_scene
from dcet.live.show.page import render_page
from dcet.live.show.scene import Scene
from dcet.live.show.view import summary_view
from dcet.live.show.watcher import Watcher
from dcet.runtime.cli.output import output_text
from dcet.runtime.errors import ConfigError


@contextmanager
def drawing(
    path: Path | None, media: Sequence[MediaFile], scene: Scene
) -> Iterator[Callable[[str, Picture], None]]:
    """Yield what takes each picture that was played, and draws those of the first camera."""
    cameras = [n for n, each in zip(track_names(media), media, strict=True) if each.has_pictures]
    if path is None:
        yield lambda track, picture: scene.pass_to(picture.pts_us)
        return
    if not cameras:
        raise ConfigError(
            "--video: expected a file with pictures among FILES, all have sound alone; leave it out"
        )
    camera = media[track_names(media).index(cameras[0])]
    sound = next((each for each in media if each.has_sound), None)
    with write_video(path, camera.frame_rate, sound=sound) as write:

        def draw(track: str, picture: Picture) -> None:
            scene.pass_to(picture.pts_us)
            if track == cameras[0]:
                write(picture.pts_us, draw_scene(picture.pixels, scene, track))

        yield draw


def finish(
    watcher: Watcher,
    session: LiveSession,
    console: Console,
    html_path: Path | None,
    *,
    title: str,
    how: str,
    notes: Sequence[str],
) -> None:
    """Tell what came out in all, and write the page."""
    record, counters = watcher.record, session.counters
    people = {name: record.turns_of(name) for name in record.people()}
    console.print()
    console.print(summary_view(people) if people else "Nobody was heard.")
    for note in notes:
        console.print(note, style="yellow", soft_wrap=True)
    for what, times in counters["notes"].items():
        console.print(f"{what}: {times}", style="dim", soft_wrap=True)
    if html_path is not None:
        manifest = session.conversation.bundle.manifest
        engine = session.conversation.engine.name
        lead = f"Followed by dcet-live {how}, with {manifest.name} {manifest.version} on {engine}."
        output_text(
            html_path, render_page(record, title=title, lead=lead, counters=counters, notes=notes)
        )
