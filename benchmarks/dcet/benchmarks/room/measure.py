"""The room report: recordings that nobody acted, and sounds in which nobody speaks."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import lacks
from dcet.benchmarks.room.headlines import Headline, headlines
from dcet.benchmarks.room.lengths import Lengths, measure_lengths
from dcet.benchmarks.room.meetings import Meetings, measure_meetings
from dcet.benchmarks.room.moves import Move, measure_moves
from dcet.benchmarks.room.neighbours import Neighbours, measure_neighbours
from dcet.benchmarks.room.noises import Noise, measure_noises
from dcet.benchmarks.room.recordings import Found, find_recordings
from dcet.benchmarks.room.replies import Listener
from dcet.runtime import Bundle
from dcet.runtime.errors import ConfigError

ROOM_SCHEMA = "dcet-bench/room/1"


@dataclass(frozen=True, kw_only=True)
class RoomSettings:
    engine: str = "auto"
    spots: int = 100  # for the moves, and again for the lengths
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Material:
    """What was found in the folder."""

    folder: str  # its name
    talk: tuple[str, ...]
    talk_s: float
    videos: tuple[str, ...]
    no_speech: int  # files
    with_voices: int  # files without speech but with voices, that were left out
    labelled: tuple[str, ...]  # folders that were left out


@dataclass(frozen=True, kw_only=True)
class RoomReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: RoomSettings
    material: Material
    headlines: tuple[Headline, ...]
    moves: tuple[Move, ...]  # empty without talk
    lengths: Lengths | None  # None without talk of 9 s
    meetings: Meetings | None  # None without turns of 1 s
    noises: tuple[Noise, ...]
    neighbours: tuple[Neighbours, ...]  # empty without videos

    def as_dict(self) -> dict[str, Any]:
        return {"schema": ROOM_SCHEMA, **asdict(self)}


def measure_room(bundle: Bundle, folder: Path, settings: RoomSettings, track: Track) -> RoomReport:
    """Measure on what `recordings` finds in a folder; what it has none of is left out.

    Raises ConfigError for a bundle without an encoder of audio, DataError for bad data,
    MissingExtra or EngineError.
    """
    lacking = lacks(bundle)
    if "audio" in lacking:
        raise ConfigError(
            f"{bundle.path}: expected a bundle with an encoder of audio, this one has none; train "
            "one and export again"
        )
    machine = read_machine()
    found = find_recordings(folder)
    talk = [found.read(path) for path in found.talk]
    listener = Listener(bundle, settings.engine)
    draws = [np.random.default_rng([settings.seed, number]) for number in range(3)]
    moves = measure_moves(listener, talk, settings.spots, draws[0], track)
    lengths = measure_lengths(listener, talk, settings.spots, draws[1], track)
    meetings = measure_meetings(listener, talk, track)
    noises = measure_noises(listener, found, draws[2], track)
    neighbours = measure_neighbours(listener, found.videos, lacking, track)
    return RoomReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        machine=machine,
        settings=settings,
        material=_material(found, sum(recording.seconds for recording in talk)),
        headlines=headlines(moves, lengths, meetings, noises, neighbours),
        moves=moves,
        lengths=lengths,
        meetings=meetings,
        noises=noises,
        neighbours=neighbours,
    )


def _material(found: Found, talk_s: float) -> Material:
    return Material(
        folder=found.folder.resolve().name,
        talk=tuple(map(found.name, found.talk)),
        talk_s=talk_s,
        videos=tuple(map(found.name, found.videos)),
        no_speech=len(found.no_speech),
        with_voices=found.voices,
        labelled=tuple(map(found.name, found.labelled)),
    )
