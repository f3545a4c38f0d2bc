"""Outcomes: what becomes of each modality in each turn of a constructed conversation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dcet.runtime.labels import MODALITIES

FINE, CORRUPT, WRONG, MISSING = range(4)
FAILURES = (MISSING, CORRUPT)  # equally likely in a turn that fails
# Faces often do not show what is meant, even those of the right person.
FACE_FAILURES = (MISSING, CORRUPT, *[WRONG] * 6)
BURST_TURNS = 4  # that a burst of failures lasts on average


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcome of each modality in each of N turns."""

    table: Tensor  # (N, 3) of FINE, CORRUPT, WRONG and MISSING

    @classmethod
    def same(cls, turns: int, **outcomes: int) -> "Outcomes":
        """Repeat one outcome: `text`, `audio` and `face` are FINE unless given otherwise."""
        row = [outcomes.get(name, FINE) for name in MODALITIES]
        return cls(torch.tensor(row).expand(turns, len(MODALITIES)))


def random_outcomes(turns: int) -> Outcomes:
    """Draw for each modality on its own: no failures, scattered ones, or bursts.

    A turn of which nothing would be left keeps its text. Draws from torch's global generator.
    """
    table = torch.stack([_column(turns, face=name == "face") for name in MODALITIES], dim=1)
    if torch.rand(()) < 0.15:  # a conversation in which one modality, or two, do not exist
        absent = torch.rand(len(MODALITIES)) < 0.5
        table[:, absent] = MISSING
    nothing = (table == MISSING).all(dim=1)
    table[nothing, 0] = FINE
    return Outcomes(table)


def _column(turns: int, *, face: bool) -> Tensor:
    """Draw the outcomes (turns,) of one modality in one conversation."""
    kind = float(torch.rand(()))
    rate = 0.9 * torch.rand(())
    if kind < 0.35:
        failed = torch.zeros(turns, dtype=torch.bool)
    elif kind < 0.65:
        failed = torch.rand(turns) < rate
    else:
        failed = _bursts(turns, float(rate))
    choices = torch.tensor(FACE_FAILURES if face else FAILURES)
    if kind < 0.65:  # each turn fails in its own way, a burst in one
        failures = choices[torch.randint(len(choices), (turns,))]
    else:
        failures = choices[torch.randint(len(choices), (1,))].expand(turns)
    return torch.where(failed, failures, FINE)


def _bursts(turns: int, rate: float) -> Tensor:
    """Draw from a Gilbert channel (Bell Syst. Tech. J. 1960): bursts of about `BURST_TURNS`."""
    leave = 1 / BURST_TURNS
    enter = leave * rate / (1 - rate)
    failed, state = torch.zeros(turns, dtype=torch.bool), float(torch.rand(())) < rate
    for turn in range(turns):
        failed[turn] = state
        state = float(torch.rand(())) < (1 - leave if state else enter)
    return failed
