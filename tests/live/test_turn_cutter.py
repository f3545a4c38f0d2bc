"""When turns begin and end."""

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dcet.live.hearing.turn_cutter import Span, Step, TurnCutter

HOP_MS = 32.0


def cut(voices: Sequence[float], powers: Sequence[float] | None = None) -> list[Span]:
    """The turns of these probabilities, the last one ended."""
    cutter = TurnCutter(HOP_MS, 0.8, 200)
    turns = [cutter.hop(*each)[1] for each in zip(voices, powers or voices, strict=True)]
    turns.append(cutter.end()[1])
    return [turn for turn in turns if turn is not None]


def test_a_turn_ends_after_nine_hops_without_a_voice() -> None:
    assert cut([0] * 5 + [1] * 10 + [0] * 8 + [1] * 7 + [0] * 9 + [1] * 7) == [
        Span(5, 30),
        Span(39, 46),
    ]


def test_soft_edges_belong_to_a_turn() -> None:
    assert cut([0] * 5 + [0.3, 0.3] + [1] * 7 + [0.25, 0.3] + [0] * 10) == [Span(5, 16)]


def test_less_than_200_ms_of_a_voice_is_no_turn() -> None:
    assert cut([0] * 5 + [1] * 6 + [0] * 20) == []
    assert cut([0] * 5 + [0.7] * 60 + [0] * 20) == []  # of which no hop reaches the threshold


def test_it_pauses_when_an_encoder_has_heard_enough() -> None:
    cutter = TurnCutter(HOP_MS, 0.8, 200)
    steps = [cutter.hop(voice, voice)[0] for voice in [1.0] * 8 + [0.0] * 9]
    assert steps.index(Step.BEGAN) == 6
    assert steps.index(Step.PAUSED) == 8 + 6 - 1
    assert steps[-1] == Step.ENDED


def test_a_long_turn_is_split_where_it_is_quietest() -> None:
    powers = [1.0] * 1000
    powers[430] = 0.1
    turns = cut([1.0] * 1000, powers)
    assert turns[0] == Span(0, 430)
    assert [turn.end for turn in turns[:-1]] == [turn.first for turn in turns[1:]]
    assert turns[-1].end == 1000


@given(st.lists(st.floats(0, 1), max_size=1500))
def test_turns_are_in_order_and_never_longer_than_the_longest(voices: list[float]) -> None:
    turns = cut(voices)
    for turn in turns:
        assert 0 <= turn.first < turn.end <= len(voices)
        assert turn.end - turn.first <= 15_000 / HOP_MS
    for before, after in itertools.pairwise(turns):
        assert before.end <= after.first
