"""The models a pipeline of three large encoders is made of, with random weights.

Latency does not depend on what the weights are. torch and transformers are imported only when the
peers are built.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcet.benchmarks.raw_turn import RawTurn
from dcet.runtime.extras import need

FACE_SIDE = 224  # pixels; what ResNet-50 was trained on
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels


@dataclass(frozen=True, slots=True)
class Recipe:
    """A model of transformers. Without settings, the default configuration is the base model's."""

    name: str
    model: str
    config: str
    settings: Mapping[str, Any]


RECIPES = {
    "text": Recipe("BERT-base", "BertModel", "BertConfig", {}),
    "audio": Recipe("Wav2Vec2-base", "Wav2Vec2Model", "Wav2Vec2Config", {}),
    "face": Recipe("ResNet-50", "ResNetModel", "ResNetConfig", {}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """Stands for one of our encoders, in eager torch and float32."""

    recipe: Recipe
    module: Any  # torch.nn.Module
    given: Any  # torch.Tensor: what a turn hands over
    prepared: Callable[[Any], Any]  # of what was given, what the module takes

    run: Callable[[], Any]  # one turn's forward pass: its hidden states

    @property
    def parameters(self) -> int:
        return sum(weights.numel() for weights in self.module.parameters())


def build_peers(turn: RawTurn, threads: int) -> dict[str, Peer]:
    """Build the peers, by the stage that they stand for, to run on `threads` threads.

    Each takes what it gets in practice: BERT token ids, Wav2Vec2 the PCM, ResNet the crops, which
    are scaled to 224×224 and normalised within its time. Raises MissingExtra.
    """
    torch = need("torch", extra="bench")
    transformers = need("transformers", extra="bench")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    models = {stage: _build(transformers, recipe) for stage, recipe in RECIPES.items()}
    given = {
        "text": torch.randint(0, models["text"].config.vocab_size, (1, turn.tokens)),
        "audio": torch.from_numpy(turn.audio)[None],
        "face": torch.from_numpy(np.stack(turn.faces or [])).permute(0, 3, 1, 2).contiguous(),
    }
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def scaled(crops: Any) -> Any:
        larger = torch.nn.functional.interpolate(
            crops.float() / 255, size=(FACE_SIDE, FACE_SIDE), mode="bilinear", antialias=False
        )
        return (larger - mean) / std

    def peer(stage: str) -> Peer:
        module, turns = models[stage], given[stage]
        prepared = scaled if stage == "face" else _as_is
        run = torch.inference_mode()(lambda: module(prepared(turns))[0])
        return Peer(RECIPES[stage], module, turns, prepared, run)

    return {stage: peer(stage) for stage in RECIPES}


def _as_is(given: Any) -> Any:
    return given


def _build(transformers: Any, recipe: Recipe) -> Any:
    # As a tuple, which can be traced into other formats.
    config = getattr(transformers, recipe.config)(**recipe.settings, return_dict=False)
    return getattr(transformers, recipe.model)(config).eval()
