"""The most accurate bundle that holds a latency budget on this machine.

Several students are exported in several precisions, and each may use all the audio and faces of a
turn that its step has room for, or fewer. What is left out is written into the manifest (`limit`),
so that the bundle behaves everywhere as it was measured.

BudgetError     no candidate holds the budget
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from dcet.data.metrics import emotion_metrics
from dcet.data.playing import play
from dcet.data.turns import LabelledTurn, Turns
from dcet.demo import scripted_conversation
from dcet.export.exporter import write_zip
from dcet.runtime import Bundle, Conversation
from dcet.runtime.arrays import SAMPLE_RATE_HZ
from dcet.runtime.errors import DcetError
from dcet.runtime.files import atomic_path, temporary_folder
from dcet.runtime.labels import MODALITIES
from dcet.synthetic.probes import faces, speech_windows

LIMITED = {"audio": "audio", "face": "faces"}  # arguments of `Conversation.turn`, by modality
LIMITS = (1, 2, 4, 8)  # windows of sound, and faces, that a turn may use
# The fullest turn: with these, and as much sound and as many faces as the step has room for.
TOKENS = 32
FACE_SIDE = 96  # pixels
# Candidates take turns, so that what disturbs the machine disturbs all of them alike.
ROUNDS, WARM_UP, TURNS_A_ROUND = 10, 1, 4
CONFIRMING_TURNS = 200  # of the one that is to be chosen, by itself

Export = Callable[[str, str, Path], object]  # of a student in a precision to a file


class BudgetError(DcetError, RuntimeError):
    """No candidate holds the budget; nothing was written."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bundle that could be written, and what was measured of it on this machine."""

    student: str
    precision: str
    limits: Mapping[str, int]  # how many items of a turn are used, by modality
    size_bytes: int
    p50_ms: float  # of the fullest turn
    p95_ms: float
    weighted_f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The result of a search for a latency budget."""

    budget_ms: float
    engine: str  # that ran
    turns: str  # the name of the labelled turns that the accuracy is of
    turns_sha256: str
    chosen: Candidate
    confirmed_p95_ms: float  # of the chosen one, measured again by itself
    candidates: tuple[Candidate, ...]  # the fastest first

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The candidates that no faster one equals in accuracy (Pareto), the fastest first."""
        front: list[Candidate] = []
        for candidate in self.candidates:
            if not front or candidate.weighted_f1 > front[-1].weighted_f1:
                front.append(candidate)
        return tuple(front)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        front = self.front
        rows = [{**dataclasses.asdict(c), "on_front": c in front} for c in self.candidates]
        return {**dataclasses.asdict(self), "candidates": rows}


@dataclass(slots=True, eq=False)
class _Runner:
    """A candidate that can be run."""

    student: str
    precision: str
    bundle: Bundle  # limited
    conversation: Conversation
    turn: Mapping[str, Any]
    latency_ms: list[float] = field(default_factory=list)

    @property
    def p95_ms(self) -> float:
        return _p95(self.latency_ms)

    @property
    def limits(self) -> dict[str, int]:
        modalities = self.bundle.manifest.modalities
        return {name: modalities[name].most for name, key in LIMITED.items() if key in self.turn}

    def __str__(self) -> str:
        used = ", ".join(f"{name} {limit}" for name, limit in self.limits.items())
        return f"{self.student} in {self.precision} with {used}"

    def run(self, count: int) -> list[float]:
        """Play `count` turns and return the milliseconds of each."""
        latency_ms = []
        for _ in range(count):
            started = time.perf_counter()
            self.conversation.turn("speaker", **self.turn)
            latency_ms.append((time.perf_counter() - started) * 1000)
        return latency_ms


def search_budget(
    students: Sequence[str],
    precisions: Sequence[str],
    turns: Turns,
    budget_ms: float,
    output: Path,
    *,
    export: Export,
    progress: Callable[[str], None],
) -> Search:
    """Write the most accurate candidate of which 95 in 100 of the fullest turns take no longer than
    `budget_ms`; of two that are as accurate the smaller, then the faster one.

    Raises BudgetError where there is none, WriteError, and what `export` raises.
    """
    with temporary_folder() as folder:
        runners: list[_Runner] = []
        for student, precision in product(students, precisions):
            file = folder / f"{len(runners)}.dcet"
            progress(f"{student} in {precision}")
            export(student, precision, file)
            runners += _runners(student, precision, Bundle.open(file))
        for done in range(1, ROUNDS + 1):
            progress(f"latency of {len(runners)} candidates: round {done} of {ROUNDS}")
            for runner in runners:
                runner.run(WARM_UP)
                runner.latency_ms += runner.run(TURNS_A_ROUND)
        _expect_one_in_time(runners, budget_ms)
        judged = list(zip(_candidates(runners, turns, progress), runners, strict=True))
        chosen, runner, confirmed_p95_ms = _choose(judged, budget_ms, progress)
        write_limited(runner.bundle, budget_ms, output)
        return Search(
            budget_ms=budget_ms,
            engine=runner.conversation.engine.name,
            turns=turns.name,
            turns_sha256=turns.sha256,
            chosen=chosen,
            confirmed_p95_ms=confirmed_p95_ms,
            candidates=tuple(sorted((row for row, _ in judged), key=lambda row: row.p95_ms)),
        )


def fullest_turn(bundle: Bundle) -> dict[str, Any]:
    """Return the most expensive turn there can be, as arguments of `Conversation.turn`."""
    given: dict[str, Any] = {}
    for name in MODALITIES:
        modality = bundle.manifest.modalities[name]
        if modality.encoder is None or not modality.trained:
            continue
        if name == "text":
            given["text"] = _text_of_tokens(bundle, TOKENS)
        elif name == "audio":
            given["audio"] = speech_windows(modality.length or 0, seed=0).ravel()
        else:
            given["faces"] = list(faces(modality.length or 0, FACE_SIDE, FACE_SIDE, seed=0))
    return given


def _text_of_tokens(bundle: Bundle, tokens: int) -> str:
    """Return as many words of the demo as fit into `tokens`."""
    words = " ".join(line.text for line in scripted_conversation()).split()
    for count in range(len(words), 0, -1):
        text = " ".join(words[:count])
        encoding = bundle.tokenizer.encode(text)
        if not encoding.overflowing and len(encoding.ids) <= tokens:
            return text
    return words[0]


def _runners(student: str, precision: str, bundle: Bundle) -> Iterator[_Runner]:
    """Yield the bundle with every choice of limits."""
    given = fullest_turn(bundle)
    most = {n: bundle.manifest.modalities[n].most for n, key in LIMITED.items() if key in given}
    choices = {
        name: [*(limit for limit in LIMITS if limit < count), count] for name, count in most.items()
    }
    for limits in product(*choices.values()):
        # A limit that leaves nothing out is none.
        limited = bundle.limited(
            {name: limit for name, limit in zip(choices, limits, strict=True) if limit < most[name]}
        )
        yield _Runner(student, precision, limited, Conversation(limited, max_speakers=1), given)


def _expect_one_in_time(runners: Sequence[_Runner], budget_ms: float) -> None:
    fastest = min(runners, key=lambda runner: runner.p95_ms)
    if fastest.p95_ms > budget_ms:
        raise BudgetError(
            f"no candidate holds {budget_ms:g} ms on this machine; the fastest of {len(runners)}, "
            f"{fastest}, takes {fastest.p95_ms:.1f} ms (p95) on "
            f"{fastest.conversation.engine.name}. Nothing was written; allow more, leave "
            "--precision open, name a smaller --student, or measure when the machine does nothing "
            "else"
        )


def _candidates(
    runners: Sequence[_Runner], turns: Turns, progress: Callable[[str], None]
) -> Iterator[Candidate]:
    """Yield each with its accuracy. Limits beyond what the turns hold make no difference to it."""
    known: dict[tuple[Path, tuple[int, ...]], float] = {}
    for done, runner in enumerate(runners, start=1):
        progress(f"weighted F1 of {len(turns)} turns: candidate {done} of {len(runners)}")
        window = runner.bundle.manifest.modalities["audio"].window_samples
        most = {"audio": _most_windows(turns, window), "face": max(len(t.faces) for t in turns)}
        used = tuple(min(limit, most[name]) for name, limit in runner.limits.items())
        key = (runner.bundle.path, used)
        if key not in known:
            metrics = emotion_metrics(turns.labels, play(runner.bundle, turns))
            known[key] = metrics["weighted_f1"]
        yield Candidate(
            student=runner.student,
            precision=runner.precision,
            limits=runner.limits,
            size_bytes=runner.bundle.path.stat().st_size,
            p50_ms=float(np.median(runner.latency_ms)),
            p95_ms=runner.p95_ms,
            weighted_f1=known[key],
        )


def _most_windows(turns: Turns, window_samples: int | None) -> int:
    def windows(turn: LabelledTurn) -> int:
        if turn.audio is None or window_samples is None:
            return 0
        return -int(-len(turn.audio) / turn.sample_rate_hz * SAMPLE_RATE_HZ // window_samples)

    return max(map(windows, turns))


def _choose(
    judged: Sequence[tuple[Candidate, _Runner]], budget_ms: float, progress: Callable[[str], None]
) -> tuple[Candidate, _Runner, float]:
    """Return the best that holds the budget when it is measured again, alone and for longer."""
    in_time = [pair for pair in judged if pair[0].p95_ms <= budget_ms]
    in_time.sort(key=lambda pair: (-pair[0].weighted_f1, pair[0].size_bytes, pair[0].p95_ms))
    for candidate, runner in in_time:
        progress(f"{CONFIRMING_TURNS} turns of {runner}")
        runner.run(WARM_UP)
        p95_ms = _p95(runner.run(CONFIRMING_TURNS))
        if p95_ms <= budget_ms:
            return candidate, runner, p95_ms
    raise BudgetError(
        f"{len(in_time)} candidates held {budget_ms:g} ms at first, but none when it was measured "
        "again for longer. Nothing was written; allow more, or measure when the machine does "
        "nothing else"
    )


def write_limited(bundle: Bundle, budget_ms: float, output: Path) -> None:
    """Write a bundle as it was limited, with the budget in its manifest. Raises WriteError."""
    manifest = dataclasses.replace(bundle.manifest, deadline_ms=budget_ms)
    files = {name: bundle.read(name) for name in manifest.files}
    with atomic_path(output) as temporary:
        write_zip(temporary, manifest, files)
        Bundle.open(temporary)


def _p95(latency_ms: Sequence[float]) -> float:
    return float(np.quantile(latency_ms, 0.95))
