"""What a folder holds for the room report, found by one rule, and the sound of its files.

- A folder with a `labels.csv` is a labelled corpus, mostly acted: it is left out, and named.
- A video is a talking head.
- A sound file is without speech where a folder on its way, from the one that is given on, has
  `noise` or `background` in its name; but where a `list.csv` in or above its folder has a row of it
  (column `file`) with a cell that names voices, such as `scream`, it is left out, and counted.
- A sound file in a folder `rir` is the response of a room: it is left out.
- Every other sound file is talk that nobody acted.
- A `.rttm` has the turns of the sound files next to it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dcet.data.media import read_audio
from dcet.data.recordings import TABLE
from dcet.data.rttm import SpokenTurn, read_rttm
from dcet.data.tables import read_csv
from dcet.runtime.errors import DataError, DataNotFound, UnusableMedia

SOUNDS = frozenset((".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"))
VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))
TURNS = ".rttm"
LISTING = "list.csv"
NO_SPEECH = ("background", "noise")  # parts of a folder's name
ROOM_RESPONSES = ("rir", "rirs")  # a folder's name
VOICES = frozenset("babble crowd scream speech talk voice voices".split())  # cells of LISTING


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A sound file as it was recorded."""

    name: str  # its path in the folder that was given
    samples: NDArray[Any]  # (n,) or (n, channels), int16 or float32, n at least 1
    rate_hz: int
    turns: tuple[SpokenTurn, ...] = ()  # that a .rttm next to it has

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz

    def cut(self, start_s: float, seconds: float) -> NDArray[Any]:
        """Return the samples of a stretch, or of what the recording has of it."""
        start = round(start_s * self.rate_hz)
        return self.samples[start : start + round(seconds * self.rate_hz)]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The files of a folder, by what they are; each list is sorted."""

    folder: Path
    talk: tuple[Path, ...]
    no_speech: tuple[Path, ...]
    videos: tuple[Path, ...]
    turns: dict[Path, tuple[SpokenTurn, ...]]  # of the files of `talk` that a .rttm names
    labelled: tuple[Path, ...]  # folders that were left out
    voices: int  # sound files without speech but with voices, that were left out

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def read(self, path: Path) -> Recording:
        """Raises UnusableMedia, also where there is no sample, or MissingExtra."""
        samples, rate_hz = read_audio(path)
        if len(samples) == 0:
            raise UnusableMedia(
                f"{path}: expected at least one sample, got none; record it again, or take it out"
            )
        return Recording(self.name(path), samples, rate_hz, self.turns.get(path, ()))


def find_recordings(folder: Path) -> Found:
    """Find what there is to measure on. Raises DataError where there is nothing."""
    files, labelled = _walk(folder)
    sounds = [path for path in files if path.suffix.lower() in SOUNDS]
    sounds = [path for path in sounds if not _is_in(folder, path, ROOM_RESPONSES)]
    quiet = [path for path in sounds if _is_without_speech(folder, path)]
    voices = _with_voices(files)
    found = Found(
        folder=folder,
        talk=tuple(path for path in sounds if path not in set(quiet)),
        no_speech=tuple(path for path in quiet if path not in voices),
        videos=tuple(path for path in files if path.suffix.lower() in VIDEOS),
        turns=dict(_turns(files, sounds)),
        labelled=tuple(labelled),
        voices=len(voices.intersection(quiet)),
    )
    if not (found.talk or found.no_speech or found.videos):
        skipped = f", besides {len(labelled)} folders with a {TABLE}" if labelled else ""
        raise DataError(
            f"{folder}: expected recordings of talk or noise ({', '.join(sorted(SOUNDS))}) or "
            f"videos ({', '.join(sorted(VIDEOS))}), got none{skipped}; name a folder of recordings "
            "that nobody acted"
        )
    return found


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return all files that are not hidden, sorted, and the folders that were left out."""
    files: list[Path] = []
    labelled = []
    for where, folders, names in os.walk(folder):
        if TABLE in names:
            labelled.append(Path(where))
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(where, name) for name in names if not name.startswith(".")]
    return sorted(files), sorted(labelled)


def _folders(folder: Path, path: Path) -> Iterator[str]:
    """Give the names of the folders on the way to a file."""
    yield folder.resolve().name.lower()
    yield from (name.lower() for name in path.relative_to(folder).parts[:-1])


def _is_in(folder: Path, path: Path, names: tuple[str, ...]) -> bool:
    return any(name in names for name in _folders(folder, path))


def _is_without_speech(folder: Path, path: Path) -> bool:
    return any(part in name for name in _folders(folder, path) for part in NO_SPEECH)


def _with_voices(files: list[Path]) -> set[Path]:
    """Return the files of which a list says that there are voices in them."""
    return {
        listing.parent / row.text("file")
        for listing in files
        if listing.name == LISTING
        for row in read_csv(listing, ("file",), what="a list of sound files")
        if VOICES.intersection((cell or "").strip().lower() for cell in row.cells.values())
    }


def _turns(files: list[Path], sounds: list[Path]) -> Iterator[tuple[Path, tuple[SpokenTurn, ...]]]:
    for table in files:
        if table.suffix.lower() != TURNS:
            continue
        for name, turns in read_rttm(table).items():
            beside = [path for path in sounds if (path.parent, path.stem) == (table.parent, name)]
            if not beside:
                raise DataNotFound(
                    f"{table}, line {turns[0].line}: expected a sound file {name} next to it, such "
                    f"as {name}.wav, got none; add it, or remove its lines"
                )
            yield beside[0], turns
