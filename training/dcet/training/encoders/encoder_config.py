"""The settings that training an encoder from labels and from teachers have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import MODALITIES
from dcet.training.run.run_config import RunConfig
from dcet.training.settings import Count, Positive, Share, Weight, settings_from


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig(RunConfig):
    """The settings of a run of `encoder` or `distill`."""

    recipes: ClassVar[Mapping[str, Mapping[str, Any]]]  # defaults by modality

    modality: str
    data: str  # folder of the corpora
    corpora: Sequence[str] = ()
    unacted: Sequence[str] = ()  # folders of talk that nobody acted, for audio
    noises: str | None = None  # folder of noises without talk, for audio
    batch: Count
    learning_rate: Weight
    weight_decay: Weight
    warmup: Share = 0.05  # share of the run
    average: Share = 0.998  # of the weights, per update; the average is what is judged and kept
    clip_norm: Positive | None = None
    sharpness: Weight = 0.0  # radius of sharpness-aware minimisation; a step takes twice as long
    judge_every: Count = 5  # epochs
    mixup: Weight = 0.2  # of audio and faces
    repeat: Mapping[str, Count] = field(default_factory=dict)  # per epoch, faces of an emotion
    # Encoders of faces whose answers, each at a temperature, have a share in the votes.
    votes_from: Mapping[str, Positive] = field(default_factory=dict)
    votes_share: Share = 0.4
    prior_adjustment: Weight = 0.0  # of a face's logits, after training; see `prior_bias`
    licences: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, modality: str, **changes: Any) -> Self:
        """Take the modality's recipe with some of it changed. Raises ConfigError."""
        if modality not in MODALITIES:
            raise ConfigError(
                f"modality: expected one of {', '.join(MODALITIES)}, got {modality!r}"
            )
        return settings_from(
            cls, {"modality": modality, **cls.recipes[modality], **changes}, "--config"
        )
