"""The settings that every training run has."""

from dataclasses import dataclass

from dcet.training.settings import Count, Seed, Settings, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig(Settings):
    """The settings of a run that decide the order of its examples, its schedule and its average."""

    seed: Seed = 0  # of order and noise
    epochs: Count
    warmup: Share = 0.1  # share of the run
    average: Share = 0.99  # of the weights, per update; the average is what is judged and kept
