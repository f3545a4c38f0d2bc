"""Who speaks, of people side by side, at several frame rates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dcet.benchmarks.live.who_speaks import (
    FRAME_RATES,
    HEADS,
    STRANGERS,
    WhoSpeaks,
    measure_who_speaks,
    people_side_by_side,
)
from dcet.benchmarks.progress import Track
from dcet.runtime import Bundle, FaceFinder


@dataclass(frozen=True, kw_only=True)
class People:
    """Clips of one kind, at one frame rate."""

    clips: str
    who: WhoSpeaks


def measure_people(
    bundle: Bundle, finder: FaceFinder, videos: Sequence[Path], track: Track
) -> tuple[People, ...]:
    """Judge the clips that are made of the talking heads among these videos; none without them.

    Raises UnusableMedia where the finder does not find them in every picture.
    """
    folders = [path.parent for path in videos if path.name in HEADS]
    needed = (*HEADS, *STRANGERS)
    media = next((at for at in folders if all((at / name).is_file() for name in needed)), None)
    if media is None or bundle.manifest.speech is None:
        return ()
    kinds = people_side_by_side(media, finder)
    cases = [(kind, float(rate)) for kind in kinds for rate in FRAME_RATES]
    return tuple(
        People(clips=kind, who=measure_who_speaks(bundle, finder, kinds[kind], rate))
        for kind, rate in track(cases, "people side by side")
    )
