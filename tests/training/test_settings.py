"""Settings: every field has a type and a range, and what is outside is named."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dcet.runtime.errors import ConfigError
from dcet.training.dialogue.fit import FitConfig
from dcet.training.encoders.distill import DistillConfig
from dcet.training.encoders.fit_encoder import FitEncoderConfig
from dcet.training.fusion.fuse import FuseConfig
from dcet.training.network.audio_encoder import AudioConfig
from dcet.training.network.face_encoder import FaceConfig
from dcet.training.network.model import ModelConfig
from dcet.training.saved.smaller_encoder import TextConfig
from dcet.training.settings import Settings, field_names, settings_from

Maker = Callable[..., Settings]


def fit_config(**changes: Any) -> FitConfig:
    return FitConfig(**({"meld": "MELD", "text_encoder": "bert"} | changes))


def fuse_config(**changes: Any) -> FuseConfig:
    return FuseConfig(**({"checkpoint": "a", "audio": "b", "face": "c", "data": "d"} | changes))


def encoder_config(**changes: Any) -> FitEncoderConfig:
    return FitEncoderConfig.of(
        **({"modality": "audio", "data": "d", "corpora": ["ravdess"]} | changes)
    )


def distill_config(**changes: Any) -> DistillConfig:
    return DistillConfig.of(
        **({"modality": "face", "data": "d", "teachers": ["t"], "student": {}} | changes)
    )


RUNS: list[Maker] = [fit_config, fuse_config, encoder_config, distill_config]
SHAPES: list[Maker] = [ModelConfig, AudioConfig, FaceConfig, TextConfig]


@pytest.mark.parametrize("make", RUNS + SHAPES)
def test_a_value_of_no_type_at_all_is_named_in_every_field(make: Maker) -> None:
    for name in field_names(type(make())):
        with pytest.raises(ConfigError, match=f"{name}: expected .*, got ") as caught:
            make(**{name: object()})
        assert "Annotated" not in str(caught.value)


@pytest.mark.parametrize("make", RUNS)
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", "many", "a whole number of at least 1, got 'many'"),
        ("epochs", 2.0, "a whole number of at least 1, got 2.0"),
        ("epochs", True, "a whole number of at least 1, got True"),
        ("epochs", 0, "a whole number of at least 1, got 0"),
        ("seed", -1, "a whole number from 0 to 4294967295, got -1"),
        ("seed", 2**32, "a whole number from 0 to 4294967295, got 4294967296"),
        ("warmup", math.nan, "a finite number from 0 to 1, got nan"),
        ("average", 1.5, "a finite number from 0 to 1, got 1.5"),
    ],
)
def test_what_every_run_has_is_checked(make: Maker, name: str, value: Any, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(**{name: value})
    assert f"{name}: expected {expected}" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (fit_config, "encoder_learning_rate", math.inf),
        (fit_config, "vocabulary", 0),
        (fit_config, "licences", {"MELD": 3}),
        (fit_config, "model", {"width": 16}),
        (fuse_config, "speech", "crema_d"),
        (encoder_config, "corpora", "ravdess"),
        (encoder_config, "clip_norm", 0),
        (encoder_config, "shape", [1]),
        (distill_config, "temperature", 0.0),
        (distill_config, "teachers", [None]),
        (ModelConfig, "dropout", -0.1),
        (AudioConfig, "channels", [8, 0, 8]),
        (FaceConfig, "channels", []),
        (TextConfig, "layers", ["first"]),
    ],
)
def test_wrong_values_are_named(make: Maker, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}: expected "):
        make(**{name: value})


def test_what_json_makes_of_a_value_is_taken() -> None:
    """Lists for tuples, whole numbers for others, null for nothing."""
    made = encoder_config(**json.loads('{"mixup": 0, "clip_norm": null, "shape": {"width": 8}}'))
    assert (made.mixup, made.clip_norm, made.shape) == (0, None, {"width": 8})
    assert AudioConfig(channels=[4, 4, 8]).channels == [4, 4, 8]


def test_settings_that_are_not_there_are_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="--config: unknown setting epoch; expected some of seed"):
        encoder_config(epoch=3)
    with pytest.raises(ConfigError, match=r"student\.json: width: expected a whole number"):
        settings_from(FaceConfig, {"width": "wide"}, "student.json")
    with pytest.raises(ConfigError, match="modality: expected one of text, audio, face, got 'x'"):
        FitEncoderConfig.of("x", data=str(Path()))
