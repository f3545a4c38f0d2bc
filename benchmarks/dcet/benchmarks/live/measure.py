"""The live report: streams in, estimates out, on time."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.live.cutting import Cutting, measure_cutting
from dcet.benchmarks.live.deadlines import Deadline, measure_deadlines
from dcet.benchmarks.live.headlines import Headline, headlines
from dcet.benchmarks.live.long_run import LONG_PAUSE_S, LongRun, measure_long_run
from dcet.benchmarks.live.people import People, measure_people
from dcet.benchmarks.live.room_stream import made_stream
from dcet.benchmarks.live.streaming import IdleRoom, Streaming, measure_idle, measure_streaming
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Found, find_recordings
from dcet.data.default_turns import default_turns
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.errors import UnusableMedia

LIVE_SCHEMA = "dcet-bench/live/1"
PARTS = ("deadlines", "stream", "cutting", "people", "long")


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    engine: str = "auto"
    parts: tuple[str, ...] = PARTS
    seconds: float = 60.0  # of the stream in real time, for each load
    deadline_ms: float = 50.0  # of the stream
    minutes: int = 20  # of the long run


@dataclass(frozen=True, kw_only=True)
class LiveReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: LiveSettings
    data: str | None  # name of the folder
    face_detector: str
    headlines: tuple[Headline, ...]
    deadlines: tuple[Deadline, ...]
    streaming: tuple[Streaming, ...]
    idle: IdleRoom | None
    cutting: Cutting | None
    people: tuple[People, ...]
    long_run: LongRun | None
    not_measured: dict[str, str]  # parts that were asked for, and why they are not there

    def as_dict(self) -> dict[str, Any]:
        return {"schema": LIVE_SCHEMA, **asdict(self)}


def measure_live(
    bundle: Bundle, folder: Path | None, finder: FaceFinder, settings: LiveSettings, track: Track
) -> LiveReport:
    """Measure the parts that are asked for, as far as the folder has what they need.

    Raises DataError for bad data, MissingExtra or EngineError.
    """
    machine = read_machine()
    found = None if folder is None else find_recordings(folder)
    measured = _Parts(bundle, finder, settings, found, (0, machine.cores), track)
    deadlines = measured.deadlines()
    streaming, idle = measured.streaming()
    cutting, people, long_run = measured.cutting(), measured.people(), measured.long_run()
    return LiveReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        machine=machine,
        settings=settings,
        data=None if folder is None else folder.resolve().name,
        face_detector=finder.detector,
        headlines=headlines(deadlines, streaming, idle, cutting, people, long_run),
        deadlines=deadlines,
        streaming=streaming,
        idle=idle,
        cutting=cutting,
        people=people,
        long_run=long_run,
        not_measured=measured.lacking,
    )


class _Parts:
    """The parts of a report; what is not asked for, or lacks data, is nothing."""

    def __init__(
        self,
        bundle: Bundle,
        finder: FaceFinder,
        settings: LiveSettings,
        found: Found | None,
        loads: tuple[int, ...],
        track: Track,
    ) -> None:
        self.lacking: dict[str, str] = {}
        self._bundle = bundle
        self._finder = finder
        self._settings = settings
        self._engine = settings.engine
        self._videos = found.videos if found is not None else ()
        self._found = found
        self._loads = loads
        self._track = track

    def deadlines(self) -> tuple[Deadline, ...]:
        if "deadlines" not in self._settings.parts:
            return ()
        turns = default_turns()
        return measure_deadlines(self._bundle, self._engine, turns, self._loads, self._track)

    def streaming(self) -> tuple[tuple[Streaming, ...], IdleRoom | None]:
        if "stream" not in self._settings.parts:
            return (), None
        stream = made_stream(next(iter(self._videos), None))
        rows = tuple(
            measure_streaming(
                self._bundle,
                self._engine,
                self._finder,
                stream,
                seconds=self._settings.seconds,
                deadline_ms=self._settings.deadline_ms,
                load=load,
                track=self._track,
            )
            for load in self._loads
        )
        picture = stream.pictures[0]
        idle = measure_idle(self._bundle, self._engine, self._finder, picture, self._track)
        return rows, idle

    def cutting(self) -> Cutting | None:
        found = self._found
        if "cutting" not in self._settings.parts:
            return None
        marked = [path for path in found.talk if path in found.turns] if found is not None else []
        if found is None or not marked:
            self.lacking["cutting"] = "there is no talk with an .rttm in --data"
            return None
        talk = [found.read(path) for path in marked]
        return measure_cutting(self._bundle, self._engine, talk, self._track)

    def people(self) -> tuple[People, ...]:
        if "people" not in self._settings.parts:
            return ()
        people: tuple[People, ...] = ()
        why = "the talking heads that it is made of are not in --data"
        try:
            people = measure_people(self._bundle, self._finder, self._videos, self._track)
        except UnusableMedia as error:
            why = f"{self._finder.detector} does not find all faces: {error}"
        if not people:
            self.lacking["people"] = why
        return people

    def long_run(self) -> LongRun | None:
        if "long" not in self._settings.parts:
            return None
        stream = made_stream(pause_s=LONG_PAUSE_S)
        minutes = self._settings.minutes
        return measure_long_run(
            self._bundle, self._engine, self._finder, stream, minutes, self._track
        )
