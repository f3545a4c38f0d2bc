"""The same talk, moved by some milliseconds: nothing that anybody could hear has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from numpy.random import Generator

from dcet.benchmarks.progress import Track
from dcet.benchmarks.room.recordings import Recording
from dcet.benchmarks.room.replies import Listener, Reply, Steadiness, compare_replies
from dcet.benchmarks.room.spots import Spot, draw_spots

STRETCH_S = 3.0
MOVES_MS = (0.5, 5.0, 16.0, 20.0, 32.0, 64.0, 128.0)
REPEATED_MS, REPEATS = 20.0, 5  # the move that counts is made so often in a row
FARTHEST_S = 0.128


@dataclass(frozen=True, kw_only=True)
class Move:
    """3 s of talk, and the same moved."""

    move_ms: float
    steadiness: Steadiness


def measure_moves(
    listener: Listener, talk: Sequence[Recording], spots: int, rng: Generator, track: Track
) -> tuple[Move, ...]:
    """Compare the replies to 3 s at each spot with those to the same 3 s moved: one row a move, and
    none where nobody speaks for so long."""
    pairs: dict[float, list[tuple[Reply, Reply]]] = {move_ms: [] for move_ms in MOVES_MS}
    drawn = draw_spots(talk, STRETCH_S + FARTHEST_S, spots, rng)
    for spot in track(drawn, "moves"):
        first = _hear(listener, spot, 0.0)
        for move_ms in MOVES_MS:
            repeats = REPEATS if move_ms == REPEATED_MS else 1
            moved = [_hear(listener, spot, n * move_ms) for n in range(1, repeats + 1)]
            pairs[move_ms] += pairwise([first, *moved])
    return tuple(
        Move(move_ms=move_ms, steadiness=compare_replies(of)) for move_ms, of in pairs.items() if of
    )


def _hear(listener: Listener, spot: Spot, move_ms: float) -> Reply:
    stretch = spot.recording.cut(spot.start_s + move_ms / 1000, STRETCH_S)
    return listener.hear(stretch, spot.recording.rate_hz)
