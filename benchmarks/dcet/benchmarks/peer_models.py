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
    """Stands for one of our encoders."""

    name: str
    parameters: int
    run: Callable[[], object]  # one turn's forward pass


def build_peers(turn: RawTurn, threads: int) -> dict[str, Peer]:
    """By the stage they stand for; eager torch, float32, on `threads` threads.

    Each takes what it gets in practice: BERT token ids, Wav2Vec2 the PCM, ResNet the crops, which
    are scaled to 224×224 and normalised within its time. Raises MissingExtra.
    """
    torch = need("torch", extra="bench")
    transformers = need("transformers", extra="bench")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    models = {stage: _build(transformers, recipe) for stage, recipe in RECIPES.items()}
    ids = torch.randint(0, models["text"].config.vocab_size, (1, turn.tokens))
    pcm = torch.from_numpy(turn.audio)[None]
    crops = torch.from_numpy(np.stack(turn.faces or [])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def see() -> object:
        scaled = torch.nn.functional.interpolate(
            crops.float() / 255, size=(FACE_SIDE, FACE_SIDE), mode="bilinear", antialias=False
        )
        return models["face"]((scaled - mean) / std)

    passes: dict[str, Callable[[], object]] = {
        "text": lambda: models["text"](ids),
        "audio": lambda: models["audio"](pcm),
        "face": see,
    }
    return {
        stage: Peer(
            RECIPES[stage].name,
            sum(weights.numel() for weights in models[stage].parameters()),
            torch.inference_mode()(forward),
        )
        for stage, forward in passes.items()
    }


def _build(transformers: Any, recipe: Recipe) -> Any:
    config = getattr(transformers, recipe.config)(**recipe.settings)
    return getattr(transformers, recipe.model)(config).eval()
