"""The words and numbers that table and page of the room report share."""

from dcet.benchmarks.room.measure import RoomReport
from dcet.benchmarks.room.neighbours import Neighbours


def found_lines(report: RoomReport) -> list[str]:
    """Say what was found, what was left out, and what could not be measured."""
    found = report.material
    talk = f"{len(found.talk)} recordings of talk, {found.talk_s:.0f} s"
    others = f"{found.no_speech} of no speech; {len(found.videos)} videos"
    lines = [f"{found.folder}: {talk}; {others}"]
    if found.with_voices:
        lines.append(f"left out: {found.with_voices} noises with voices in them")
    if found.labelled:
        lines.append(f"left out, as labelled: {', '.join(found.labelled)}")
    absent = {
        "moves, for want of talk of 3 s": not report.moves,
        "lengths, for want of talk of 9 s": report.lengths is None,
        "turns of meetings, for want of an .rttm with turns of 1 s": report.meetings is None,
        "recorded noise": not any(row.is_recorded for row in report.noises),
        "neighbours in time, for want of videos of 4 s": not report.neighbours,
    }
    return lines + [f"not measured: {name}" for name, is_absent in absent.items() if is_absent]


def senses(row: Neighbours) -> str:
    """Name a row of neighbours."""
    how = "one conversation" if row.in_one_conversation else "each window alone"
    return f"{' + '.join(row.modalities)}, {how}"


def share(value: float) -> str:
    return f"{value:.1%}"


def distance(value: float | None) -> str:
    return "no estimate" if value is None else f"{value:.3f}"


def counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
