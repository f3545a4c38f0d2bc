"""Which clips a set is made of: rows of CSV files, and the videos that they name.

Rows that cannot be used, and videos that no row names, are set aside with a reason; the rest goes
on. Two layouts: a video for each utterance, in MELD's naming (`dia3_utt7.mp4`), or long videos of
which each row names a part (columns File, Start_s, End_s).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dcet.data.media import path_inside
from dcet.data.tables import Row, read_csv
from dcet.live.timeline import SECOND_US
from dcet.runtime.errors import BadNumber, DataError, DataNotFound, DuplicateTurn, MissingColumn
from dcet.runtime.labels import EMOTIONS, SENTIMENT_VALUES
from dcet.runtime.senses.text import normalise_text

COLUMNS = ("Dialogue_ID", "Utterance_ID", "Speaker", "Utterance", "Emotion", "Sentiment")
SEGMENT_COLUMNS = ("File", "Start_s", "End_s")
VIDEOS = frozenset(".avi .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv".split())
SPLITS = ("train", "dev", "test")
_CLOCK = re.compile(r"(\d{1,3}):([0-5]?\d):([0-5]?\d)[,.](\d{1,3})")  # MELD's 00:16:16,059

K = TypeVar("K")


Sight = tuple[int, float, float]  # of a face: time in the clip; x and y, in shares of the picture


@dataclass(frozen=True, slots=True)
class Told:
    """Who speaks in a clip, as it was told from the whole video that it is a part of."""

    speaker: str  # as in dcet.live: a person, a voice that has no face, or `unknown`
    confidence: float
    reason: str
    sights: tuple[Sight, ...]  # of their face; none where it is not seen or not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance to be made from a video."""

    split: str
    dialogue: str
    utterance: int
    speaker: str
    emotion: str | None
    sentiment: str | None
    text: str | None
    source: str  # relative to the folder of videos
    part_us: tuple[int, int] | None  # of the source; None: all of it
    start_us: int | None  # of the recording that the dialogue is from; None: nobody noted it
    end_us: int | None
    told: Told | None = None  # None: the clip itself tells who speaks


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A clip that is not in the set, and why."""

    source: str | None
    split: str | None
    dialogue: str | None
    utterance: int | None
    error: str  # the name of a class of errors
    reason: str

    @classmethod
    def of(cls, clip: Clip, error: DataError, videos: Path) -> "SetAside":
        """Set a clip aside for an error, in whose message the folder of videos is left out."""
        return cls(
            source=clip.source,
            split=clip.split,
            dialogue=clip.dialogue,
            utterance=clip.utterance,
            error=type(error).__name__,
            reason=str(error).replace(f"{videos}/", ""),
        )


@dataclass(frozen=True, slots=True)
class Annotations:
    """The clips of a set, those of a dialogue next to each other and in order."""

    clips: list[Clip] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    turns: str | None = None  # what cut the turns, where no annotations say them


def read_annotations(files: Sequence[Path], videos: Path, *, strict: bool = False) -> Annotations:
    """Read CSV files, and find the videos of their rows in a folder.

    The split is the column Split, or else what the file's name begins with, such as `dev` of
    dev_sent_emo.csv; `all` where that is no usual one.
    strict: raise for the first row or video that would be set aside

    Raises a DataError where a file is no such table.
    """
    found, named = Annotations(), set[str]()
    folders = sorted(path for path in videos.iterdir() if path.is_dir())
    first: dict[tuple[str, str, int], str] = {}
    parts: dict[tuple[str, tuple[int, int] | None], str] = {}
    for file in files:
        for row in _rows(file):
            try:
                clip = _clip(row, videos, folders)
                named.add(clip.source)
                _expect_new(first, (clip.split, clip.dialogue, clip.utterance), row)
                _expect_new(parts, (clip.source, clip.part_us), row)
                if not (videos / clip.source).is_file():
                    raise DataNotFound(f"{row.where}: there is no file {videos / clip.source}")
            except DataError as error:
                if strict:
                    raise
                found.set_aside.append(_row_set_aside(row, error, videos))
                continue
            found.clips.append(clip)
    for source in _unnamed(videos, named):
        unnamed = f"{source}: no row names this video"
        if strict:
            raise DataNotFound(unnamed)
        found.set_aside.append(
            SetAside(
                source=source,
                split=None,
                dialogue=None,
                utterance=None,
                error="DataNotFound",
                reason=unnamed,
            )
        )
    return Annotations(_in_order(found.clips), found.set_aside)


def sources_in(videos: Path) -> list[str]:
    """List the videos of a folder and of those in it, sorted, relative to it."""
    paths = (path for path in videos.rglob("*") if path.suffix.lower() in VIDEOS)
    return sorted(path.relative_to(videos).as_posix() for path in paths if path.is_file())


def _rows(file: Path) -> Iterator[Row]:
    for row in read_csv(file, COLUMNS, what="a CSV file of utterances"):
        if "File" in row.cells:
            missing = [name for name in SEGMENT_COLUMNS if name not in row.cells]
            if missing:
                raise MissingColumn(
                    f"{file}: columns {', '.join(missing)} are missing; expected File, Start_s and "
                    "End_s of parts of long videos, or none of the three"
                )
        yield row


def _clip(row: Row, videos: Path, folders: Sequence[Path]) -> Clip:
    split = (row.cells.get("Split") or _split_of(row.file)).strip()
    dialogue, utterance = row.text("Dialogue_ID").strip(), row.whole_number("Utterance_ID")
    part = None
    if "File" in row.cells:
        source = row.text("File").strip()
        part = (_seconds(row, "Start_s"), _seconds(row, "End_s"))
        times: tuple[int | None, int | None] = part
    else:
        source = _meld_source(folders, split, dialogue, utterance)
        times = (_clock(row, "StartTime"), _clock(row, "EndTime"))
    path_inside(videos, source, row.where)
    if times[0] is not None and times[1] is not None and times[1] <= times[0]:
        raise BadNumber(
            f"{row.where}: it ends at {times[1] / SECOND_US:.3f} s, before it begins at "
            f"{times[0] / SECOND_US:.3f} s; correct the times"
        )
    return Clip(
        split=split,
        dialogue=dialogue,
        utterance=utterance,
        speaker=unicodedata.normalize("NFC", row.text("Speaker")),
        emotion=_label(row, "Emotion", EMOTIONS),
        sentiment=_label(row, "Sentiment", tuple(SENTIMENT_VALUES)),
        text=normalise_text(row.cells["Utterance"] or "") or None,
        source=source,
        part_us=part,
        start_us=times[0],
        end_us=times[1],
    )


def _split_of(file: Path) -> str:
    return next((name for name in SPLITS if file.name.lower().startswith(name)), "all")


def _meld_source(folders: Sequence[Path], split: str, dialogue: str, utterance: int) -> str:
    """Return where MELD has the clip: in one of the folders whose names have the split's in them,
    or beside them."""
    name = f"dia{dialogue}_utt{utterance}.mp4"
    for folder in folders:
        if split in folder.name and (folder / name).is_file():
            return f"{folder.name}/{name}"
    return name


def _label(row: Row, column: str, known: Sequence[str]) -> str | None:
    """Return a label, None for an empty cell. Raises UnknownLabel."""
    return row.label(column, known) if (row.cells[column] or "").strip() else None


def _seconds(row: Row, column: str) -> int:
    text = row.text(column).strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise BadNumber(f"{row.where}: {column} is {text!r:.60}; expected seconds from 0")
    return round(seconds * SECOND_US)


def _clock(row: Row, column: str) -> int | None:
    text = (row.cells.get(column) or "").strip()
    if not text:
        return None
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise BadNumber(f"{row.where}: {column} is {text!r:.60}; expected hh:mm:ss,mmm")
    hours, minutes, seconds, fraction = match.groups()
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * SECOND_US + int(fraction.ljust(6, "0"))


def _expect_new(first: dict[K, str], key: K, row: Row) -> None:
    other = first.setdefault(key, row.where)
    if other != row.where:
        raise DuplicateTurn(
            f"{row.where}: the same utterance, or the same part of a video, is in {other}, too; "
            "remove one of the two"
        )


def _row_set_aside(row: Row, error: DataError, videos: Path) -> SetAside:
    cells = {name: (row.cells.get(name) or "").strip() for name in (*COLUMNS, "File")}
    number = cells["Utterance_ID"]
    return SetAside(
        source=cells["File"] or None,
        split=(row.cells.get("Split") or _split_of(row.file)).strip(),
        dialogue=cells["Dialogue_ID"] or None,
        utterance=int(number) if number.isdecimal() and len(number) < 9 else None,
        error=type(error).__name__,
        reason=str(error).replace(str(row.file), row.file.name).replace(f"{videos}/", ""),
    )


def _unnamed(videos: Path, named: set[str]) -> list[str]:
    """List the videos of the folder that no row names."""
    return [source for source in sources_in(videos) if source not in named]


def _in_order(clips: Sequence[Clip]) -> list[Clip]:
    """Sort by dialogue, in the order of their first rows, and within each by number."""
    place: dict[tuple[str, str], int] = {}
    splits: dict[str, int] = {}
    for clip in clips:
        splits.setdefault(clip.split, len(splits))
        place.setdefault((clip.split, clip.dialogue), len(place))
    return sorted(
        clips,
        key=lambda c: (splits[c.split], place[c.split, c.dialogue], c.utterance),
    )
