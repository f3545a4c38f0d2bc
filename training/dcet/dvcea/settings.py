"""The settings of a build. Written into the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dcet.runtime.errors import ConfigError
from dcet.training.settings import Count, Settings, Share

POOLINGS: Mapping[str, tuple[str, ...]] = {
    "visual_pooling": ("mean", "max"),  # over the places of the layer's map
    "audio_pooling": ("mean", "max"),  # over the frames of a step
    "text_pooling": ("mean", "first"),  # over the tokens; the first is BERT's [CLS]
    "dtype": ("float32", "float16"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig(Settings):
    """What decides the bytes of a set, besides the videos and the annotations.

    Encoders are hub ids or folders of Hugging Face models, or encoders of DCET's own: a checkpoint,
    a run, `default` or `large`. Layers count as `hidden_states` of transformers do: 0 before the
    first layer, -1 the last. An encoder of DCET's own has its one output, whatever layer and
    pooling say.
    """

    visual_encoder: str = "microsoft/resnet-50"
    visual_layer: int = -1
    visual_pooling: str = "mean"
    audio_encoder: str = "facebook/wav2vec2-base"
    audio_layer: int = -1
    audio_pooling: str = "mean"
    text_encoder: str = "google-bert/bert-base-uncased"
    text_layer: int = -1
    text_pooling: str = "mean"
    persons: str | None = None  # a Mask2Former of transformers, to blank out everyone else
    asr: str | None = (
        None  # a Whisper for CTranslate2, for the words of turns that nobody annotated
    )
    steps_per_s: Count = 5  # of the visual and the audio sequences
    looks_per_step: Count = 2  # pictures: faces are searched in one, mouths are looked at in all
    steps_per_search: Count = 5  # of whole pictures; in between, faces are searched where they were
    crop_pixels: Count = 112  # along a side of the face crops
    crop_margin: Share = 0.0  # added around a face, in shares of its side
    piece_s: Count = 20  # of sound that is encoded at once: attention grows with its square
    utterances_at_once: Count = 16  # encoded together; another number gives other last digits
    dtype: str = "float32"  # of the features as they are stored
    licences: Mapping[str, str] = field(default_factory=dict)  # of videos, annotations, encoders

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        for name, known in POOLINGS.items():
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}"
                )

    @property
    def step_us(self) -> int:
        """How long a step of the sequences is."""
        return 1_000_000 // self.steps_per_s
