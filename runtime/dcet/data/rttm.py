"""The turns of a recording, as a file of Rich Transcription Time Marked (NIST, RT-09) has them."""

import math
from dataclasses import dataclass
from pathlib import Path

from dcet.data.tables import read_text
from dcet.runtime.errors import BadNumber, MalformedTable


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """Somebody speaks from here to there."""

    start_s: float
    end_s: float
    line: int  # of the file, from 1


def read_rttm(path: Path) -> dict[str, tuple[SpokenTurn, ...]]:
    """Return the turns of every recording, by its name; lines other than SPEAKER do not count.

    Raises DataNotFound, UndecodableText, MalformedTable or BadNumber.
    """
    turns: dict[str, tuple[SpokenTurn, ...]] = {}
    for number, line in enumerate(read_text(path, "the turns of recordings").splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 5:
            raise MalformedTable(
                f"{path}, line {number}: expected SPEAKER, recording, channel, start and seconds, "
                f"got {len(fields)} fields; write the line again"
            )
        start_s, seconds = (_seconds(field, f"{path}, line {number}") for field in fields[3:5])
        turn = SpokenTurn(start_s, start_s + seconds, number)
        turns[fields[1]] = (*turns.get(fields[1], ()), turn)
    return turns


def _seconds(field: str, where: str) -> float:
    try:
        seconds = float(field)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise BadNumber(f"{where}: expected seconds, 0 or more, got {field!r:.60}; correct it")
    return seconds
