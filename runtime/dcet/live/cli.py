"""`dcet-live`: follow files as if they were live, or a camera and a microphone."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from dcet.live.media.media_file import MediaFile
from dcet.live.media.subtitles import beside, read_subtitles
from dcet.live.replay import named_speakers, play, track_names
from dcet.live.run import follow
from dcet.live.session import LiveSession
from dcet.live.show.outputs import drawing, finish
from dcet.live.show.watcher import watching
from dcet.live.words.speech_recognition import SpeechRecogniser
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.cli.command import Group
from dcet.runtime.cli.options import FiniteRange
from dcet.runtime.cli.output import report_console
from dcet.runtime.cli.paths import OutputFile
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.face_finder import FaceFinder

bundle_option = click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="The bundle to run.  [default: the one that ships with DCET]",
)
engine_option = click.option(
    "--engine", default="auto", show_default=True, help="auto, onnxruntime, openvino, …"
)
deadline_option = click.option(
    "--deadline-ms",
    default=50.0,
    show_default=True,
    type=FiniteRange(min=1, max=60_000),
    help="From the end of a turn, within which it is answered.",
)
speaker_option = click.option(
    "--speaker",
    "speakers",
    multiple=True,
    metavar="TRACK=NAME",
    help="Who is heard on a track, where it is one person. May be repeated.",
)
asr_option = click.option(
    "--asr",
    metavar="MODEL",
    help="Recognise words with this Whisper model: a folder for CTranslate2, or an id on the "
    "Hugging Face hub, from where it is fetched once. Needs the extra asr.",
)
face_option = click.option(
    "--face-model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YuNet file to find faces with; by default the best detector that is here.",
)
jsonl_option = click.option(
    "--jsonl",
    "jsonl_path",
    type=OutputFile(stdout=True),
    help="Write every event as a line of JSON to this file; - for standard output.",
)
html_option = click.option(
    "--html",
    "html_path",
    type=OutputFile(stdout=True),
    help="Write a page with the timeline to this file; - for standard output.",
)


@click.group(cls=Group)
def main() -> None:
    """Follow who seems how, live.

    \b
    Example:
      dcet-live replay interview.mp4 --html interview.html
      dcet-live run --camera 0 --microphone default
    """


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@bundle_option
@engine_option
@click.option(
    "--speed",
    type=click.Choice(["max", "1"]),
    default="max",
    show_default=True,
    help="max: as fast as it goes, the same on every machine; 1: in real time, on time.",
)
@deadline_option
@speaker_option
@click.option(
    "--subtitles",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What is said, .srt or .vtt.  [default: such a file beside the first of FILES]",
)
@asr_option
@face_option
@jsonl_option
@html_option
@click.option(
    "--video",
    "video_path",
    type=OutputFile(),
    help="Draw faces, names and emotions into a copy of the pictures of the first file that has "
    "any, such as drawn.mp4.",
)
def replay(
    files: tuple[Path, ...],
    bundle: Path | None,
    engine: str,
    speed: str,
    deadline_ms: float,
    speakers: tuple[str, ...],
    subtitles: Path | None,
    asr: str | None,
    face_model: Path | None,
    jsonl_path: Path | None,
    html_path: Path | None,
    video_path: Path | None,
) -> None:
    """Play FILES as if they were live, by their own timestamps.

    Several files began at the same moment: cameras and microphones of one room. Each is a track,
    by the name of its file without the ending.

    \b
    Example:
      dcet-live replay interview.mp4 --html interview.html --video drawn.mp4
      dcet-live replay ann.wav ben.wav --speaker ann=Ann --speaker ben=Ben --jsonl events.jsonl
    """
    if len({path.resolve() for path in files}) < len(files):
        raise click.UsageError("the same file is given twice: expected one for each track")
    media = [MediaFile(path) for path in files]
    cues = subtitles or (None if asr else beside(files[0]))
    said = read_subtitles(cues) if cues else ()
    console = report_console(jsonl_path, html_path)
    finder = FaceFinder(face_model)
    with ExitStack() as stack:
        watcher = stack.enter_context(watching(console, jsonl_path))
        session = stack.enter_context(
            LiveSession(
                _opened(bundle),
                engine=engine,
                deadline_ms=deadline_ms,
                speakers=named_speakers(speakers, track_names(media)),
                threaded=speed == "1",
                asr=_recogniser(asr, stack),
                face_finder=finder,
                on_faces=watcher.see,
            )
        )
        draw = stack.enter_context(drawing(video_path, media, watcher.scene))
        play(
            media, said, session, is_real_time=speed == "1", on_event=watcher.hear, on_picture=draw
        )
    finish(
        watcher,
        session,
        console,
        html_path,
        title=", ".join(path.name for path in files),
        how="as fast as it goes" if speed == "max" else "in real time",
        notes=_notes(media, finder),
    )


@main.command()
@click.option(
    "--camera",
    default="0",
    show_default=True,
    help="The number of a camera, or what else OpenCV opens as one; none for no camera.",
)
@click.option(
    "--microphone",
    default="default",
    show_default=True,
    help="A microphone, as ALSA, AVFoundation or DirectShow names it; none for no microphone.",
)
@click.option(
    "--seconds",
    type=FiniteRange(min=0, min_open=True),
    help="End after so long.  [default: with Ctrl-C, or q in the window]",
)
@bundle_option
@engine_option
@deadline_option
@asr_option
@face_option
@jsonl_option
@html_option
def run(
    camera: str,
    microphone: str,
    seconds: float | None,
    bundle: Path | None,
    engine: str,
    deadline_ms: float,
    asr: str | None,
    face_model: Path | None,
    jsonl_path: Path | None,
    html_path: Path | None,
) -> None:
    """Follow a camera and a microphone, in the terminal and, where OpenCV has one, in a window.

    Nothing of what is seen and heard is kept, but for the files that are asked for.

    \b
    Example:
      dcet-live run --camera 0 --microphone default
      dcet-live run --camera none --asr tiny.en --html talk.html
    """
    if camera == microphone == "none":
        raise ConfigError("--camera and --microphone: expected one of them at least, both are none")
    console = report_console(jsonl_path, html_path)
    finder = FaceFinder(face_model)
    with ExitStack() as stack:
        watcher = stack.enter_context(watching(console, jsonl_path))
        session = stack.enter_context(
            LiveSession(
                _opened(bundle),
                engine=engine,
                deadline_ms=deadline_ms,
                asr=_recogniser(asr, stack),
                face_finder=finder,
                on_faces=watcher.see,
            )
        )
        notes = follow(
            session,
            watcher,
            camera=None if camera == "none" else camera,
            microphone=None if microphone == "none" else microphone,
            seconds=seconds,
        )
    notes += _faces(finder) if camera != "none" else []
    finish(watcher, session, console, html_path, title="live", how="live", notes=notes)


def _notes(media: Sequence[MediaFile], finder: FaceFinder) -> list[str]:
    """Say what is damaged, and what faces were found with where that is not the best."""
    damage = [note for each in media for note in each.damage]
    return damage + (_faces(finder) if any(each.has_pictures for each in media) else [])


def _faces(finder: FaceFinder) -> list[str]:
    return [f"Faces are {note}" for note in finder.degraded]


def _opened(bundle: Path | None) -> Bundle:
    return Bundle.default() if bundle is None else Bundle.open(bundle)


def _recogniser(model: str | None, stack: ExitStack) -> SpeechRecogniser | None:
    """Start a recogniser of this model, which ends with the stack; None for no model."""
    return None if model is None else stack.enter_context(SpeechRecogniser(model))
