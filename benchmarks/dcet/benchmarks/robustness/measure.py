"""The robustness report: modalities that are missing or corrupted, on constructed conversations."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dcet.benchmarks.identity import (
    BundleIdentity,
    EngineIdentity,
    identify_bundle,
    identify_engine,
)
from dcet.benchmarks.machine import Machine, now, read_machine
from dcet.benchmarks.progress import Track
from dcet.benchmarks.raw_turn import require_three_senses
from dcet.benchmarks.robustness.corruptions import Corruption, catalogue
from dcet.data.constructed import (
    CONSTRUCTED,
    ConstructedTurn,
    Material,
    construct,
    count_turns,
    read_material,
)
from dcet.data.metrics import emotion_metrics
from dcet.data.playing import answers
from dcet.runtime import Bundle, Conversation, Estimate
from dcet.runtime.labels import MODALITIES

ROBUSTNESS_SCHEMA = "dcet-bench/robustness/1"
FIGURES = ("weighted_f1", "macro_f1", "accuracy")
MASKS = tuple(mask for size in (1, 2, 3) for mask in combinations(MODALITIES, size))
MISSING_RATES = (0.3, 0.5, 0.7)
BURST = 4  # turns that a burst lasts on average

# A dialogue as it was played, and as it arrives.
Arrival = Callable[[Sequence[ConstructedTurn], Generator], list[ConstructedTurn]]


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings:
    engine: str = "auto"
    dialogues: int = 40
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Constructed:
    """The conversations that were played."""

    what: str
    split: str
    dialogues: int
    turns: int
    actors: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run over all turns. Every turn counts, also the empty ones."""

    figures: dict[str, float]  # FIGURES
    modality_weights: dict[str, float]  # mean over the turns that were answered
    empty: int  # turns of which nothing arrived: the speaker's last estimate, or neutral


@dataclass(frozen=True, kw_only=True)
class Mask:
    """The outcome where only these modalities exist."""

    modalities: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The outcome where each of these is missing in a share of the turns, the others always."""

    modalities: tuple[str, ...]
    pattern: str  # "turns": by chance in each turn; "bursts": some turns in a row
    rate: float
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Point:
    strength: float
    outcome: Outcome
    lost_against_absent: dict[str, float]  # FIGURES; positive: better without the modality


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One corruption of one modality, in every turn; the others are whole."""

    modality: str
    corruption: str
    measure: str  # what a strength says
    absent: Outcome  # without the modality
    points: tuple[Point, ...]  # from mild to severe


@dataclass(frozen=True, kw_only=True)
class RobustnessReport:
    created: str  # RFC 3339, UTC
    bundle: BundleIdentity
    engine: EngineIdentity
    machine: Machine
    settings: RobustnessSettings
    constructed: Constructed
    masks: tuple[Mask, ...]
    missing: tuple[Missing, ...]
    corruptions: tuple[Curve, ...]

    @property
    def whole(self) -> Outcome:
        """The outcome with all modalities as they are."""
        return self.masks[-1].outcome

    def missing_by_mask(self) -> dict[tuple[tuple[str, ...], str], list[Missing]]:
        """Group the rows by mask and pattern, from nothing missing on."""
        rows: dict[tuple[tuple[str, ...], str], list[Missing]] = {}
        for row in self.missing:
            rows.setdefault((row.modalities, row.pattern), []).append(row)
        return rows

    def as_dict(self) -> dict[str, Any]:
        return {"schema": ROBUSTNESS_SCHEMA, **asdict(self)}


def measure_robustness(
    bundle: Bundle, folder: Path, split: str, settings: RobustnessSettings, track: Track
) -> RobustnessReport:
    """Play the same conversations through the runtime, again for every condition.

    Raises ConfigError for a bundle without all three encoders, DataError for bad data.
    """
    require_three_senses(bundle)
    machine = read_machine()
    material = read_material(folder, split)
    stage = Stage(bundle, material, settings)
    masks = tuple(
        Mask(modalities=mask, outcome=stage.play(only(mask), "mask"))
        for mask in track(MASKS, "masks")
    )
    outcomes = {mask.modalities: mask.outcome for mask in masks}
    return RobustnessReport(
        created=now(),
        bundle=identify_bundle(bundle),
        engine=identify_engine(bundle, settings.engine),
        machine=machine,
        settings=settings,
        constructed=Constructed(
            what=CONSTRUCTED,
            split=split,
            dialogues=len(stage.dialogues),
            turns=count_turns(stage.dialogues),
            actors=len(material.actors),
        ),
        masks=masks,
        missing=tuple(_missing(stage, outcomes, track)),
        corruptions=tuple(
            _curve(stage, corruption, outcomes, track) for corruption in catalogue(material)
        ),
    )


class Stage:
    """The conversations, and the runtime that they are played to."""

    def __init__(self, bundle: Bundle, material: Material, settings: RobustnessSettings) -> None:
        self.dialogues = construct(material, settings.dialogues, settings.seed)
        self._seed = settings.seed
        speakers = max(len({scene.speaker for scene in scenes}) for scenes in self.dialogues)
        self._conversation = Conversation(bundle, settings.engine, max_speakers=speakers)

    def play(self, arrival: Arrival, stream: str) -> Outcome:
        """Play all conversations as they arrive. `stream` names the random numbers: conditions that
        share them are more or less of the same."""
        probabilities, weights = [], []
        for number, scenes in enumerate(self.dialogues):
            rng = np.random.default_rng([self._seed, zlib.crc32(stream.encode()), number])
            for played in answers(self._conversation, arrival(scenes, rng), self._turn):
                if played.estimate is not None:
                    modality_weights = played.estimate.modality_weights
                    weights.append([modality_weights[name] for name in MODALITIES])
                probabilities.append(played.answer.probabilities)
        labels = [scene.emotion for scenes in self.dialogues for scene in scenes]
        metrics = emotion_metrics(labels, np.array(probabilities))
        mean = np.mean(weights, axis=0).tolist() if weights else [0.0] * len(MODALITIES)
        return Outcome(
            figures={name: metrics[name] for name in FIGURES},
            modality_weights=dict(zip(MODALITIES, mean, strict=True)),
            empty=len(labels) - len(weights),
        )

    def _turn(self, scene: ConstructedTurn) -> Estimate:
        faces = None if scene.faces is None else list(scene.faces)
        return self._conversation.turn(scene.speaker, scene.text, scene.audio, faces)


def only(modalities: Sequence[str]) -> Arrival:
    """Let nothing but these modalities arrive."""
    gone = [name for name in MODALITIES if name not in modalities]
    return lambda scenes, rng: [_without(scene, gone) for scene in scenes]


def missing_by_turn(rate: float) -> Arrival:
    """Lose each modality of each turn with the probability `rate`."""

    def arrival(scenes: Sequence[ConstructedTurn], rng: Generator) -> list[ConstructedTurn]:
        return _lose(scenes, rng.random((len(scenes), len(MODALITIES))) < rate)

    return arrival


def missing_in_bursts(rate: float) -> Arrival:
    """Lose each modality for about four turns at a time, in a share `rate` of all turns (a Gilbert
    channel, Bell Syst. Tech. J. 1960)."""
    leave = 1 / BURST
    enter = leave * rate / (1 - rate)

    def arrival(scenes: Sequence[ConstructedTurn], rng: Generator) -> list[ConstructedTurn]:
        drawn = rng.random((len(scenes), len(MODALITIES)))
        lost = np.zeros(drawn.shape, bool)
        lost[0] = drawn[0] < rate
        for turn in range(1, len(scenes)):
            lost[turn] = np.where(lost[turn - 1], drawn[turn] >= leave, drawn[turn] < enter)
        return _lose(scenes, lost)

    return arrival


def corrupted(corruption: Corruption, strength: float) -> Arrival:
    return lambda scenes, rng: [corruption.change(scene, strength, rng) for scene in scenes]


def _missing(stage: Stage, outcomes: dict[tuple[str, ...], Outcome], track: Track) -> list[Missing]:
    """Play both patterns for every mask, from nothing missing on."""
    rows = []
    for pattern, losing in (("turns", missing_by_turn), ("bursts", missing_in_bursts)):
        for mask in track(MASKS, f"missing in {pattern}"):
            of_mask = {0.0: outcomes[mask]}
            for rate in MISSING_RATES:
                arrival = _both(only(mask), losing(rate))
                of_mask[rate] = stage.play(arrival, f"missing in {pattern}")
            rows += [
                Missing(modalities=mask, pattern=pattern, rate=rate, outcome=outcome)
                for rate, outcome in of_mask.items()
            ]
    return rows


def _both(first: Arrival, second: Arrival) -> Arrival:
    return lambda scenes, rng: second(first(scenes, rng), rng)


def _curve(
    stage: Stage,
    corruption: Corruption,
    outcomes: dict[tuple[str, ...], Outcome],
    track: Track,
) -> Curve:
    others = tuple(name for name in MODALITIES if name != corruption.modality)
    absent = outcomes[others]
    points = []
    for strength in track(corruption.strengths, corruption.name):
        outcome = stage.play(corrupted(corruption, strength), corruption.name)
        lost = {name: absent.figures[name] - outcome.figures[name] for name in FIGURES}
        points.append(Point(strength=strength, outcome=outcome, lost_against_absent=lost))
    return Curve(
        modality=corruption.modality,
        corruption=corruption.name,
        measure=corruption.measure,
        absent=absent,
        points=tuple(points),
    )


def _lose(scenes: Sequence[ConstructedTurn], lost: NDArray[np.bool_]) -> list[ConstructedTurn]:
    """Leave out of each turn the modalities that `lost` (turns, 3) marks."""
    return [
        _without(scene, [name for name, gone in zip(MODALITIES, row, strict=True) if gone])
        for scene, row in zip(scenes, lost, strict=True)
    ]


def _without(scene: ConstructedTurn, modalities: Sequence[str]) -> ConstructedTurn:
    return replace(
        scene,
        text=None if "text" in modalities else scene.text,
        audio=None if "audio" in modalities else scene.audio,
        faces=None if "face" in modalities else scene.faces,
    )
