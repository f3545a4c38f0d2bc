"""Persons of a picture by Mask2Former (Cheng et al., CVPR 2022, arXiv 2112.01527)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate
from transformers import Mask2FormerForUniversalSegmentation

from dcet.dvcea.person_tracks import Person
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.face import Pixels
from dcet.training.saved.hub_models import hub_model, hub_settings, picture_norm

SURE = 0.5  # of a query being a person, from which it is one
PERSON = "person"  # its label in COCO
DIVISOR = 32  # of the sides that the model takes
SHORT, LONG = 800, 1333  # sides, of models that do not say what they want


class Mask2FormerPersons:
    """A Mask2Former for instances, by hub id or folder. Raises ConfigError.

    Pictures are scaled to the nearest multiple of 32 along each side, and not padded.
    """

    def __init__(self, name: str, device: str) -> None:
        model = hub_model(name, "persons", Mask2FormerForUniversalSegmentation)
        labels = {
            str(label).lower(): int(place) for place, label in (model.config.id2label or {}).items()
        }
        if PERSON not in labels:
            raise ConfigError(
                f"persons {name}: expected a model with the label {PERSON!r}, got "
                f"{', '.join(sorted(labels)[:8])}; give one that was trained on COCO, such as "
                "facebook/mask2former-swin-tiny-coco-instance"
            )
        self._person = labels[PERSON]
        self._settings = hub_settings(name, "persons")
        self._norm = picture_norm(self._settings)
        self.device = device
        self.model = model.to(device)  # type: ignore[arg-type]  # transformers wraps it

    @torch.inference_mode()
    def find(self, frame: Pixels) -> Sequence[Person]:
        """Return each person in an RGB frame (height, width, 3)."""
        size = frame.shape[:2]
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255
        wanted = _wanted_size(size, self._settings)
        pixels = interpolate(pixels, wanted, mode="bilinear", antialias=True)
        mean, spread = self._norm
        outputs = self.model(pixel_values=((pixels - mean) / spread).to(self.device))
        share = outputs.class_queries_logits[0].softmax(dim=-1)
        is_person = (share.argmax(dim=-1) == self._person) & (share[:, self._person] >= SURE)
        logits = outputs.masks_queries_logits[0][is_person]
        if not len(logits):
            return ()
        masks = interpolate(logits[None].float(), size, mode="bilinear")[0] > 0
        sure = share[is_person, self._person].float().cpu().tolist()
        return [
            Person(mask, certainty)
            for mask, certainty in zip(masks.cpu().numpy(), sure, strict=True)
        ]


def _wanted_size(size: tuple[int, ...], settings: Mapping[str, Any]) -> tuple[int, int]:
    """Return the height and width at which a picture is segmented."""
    wanted = settings.get("size") or {"shortest_edge": SHORT, "longest_edge": LONG}
    if "height" in wanted:
        height, width = float(wanted["height"]), float(wanted["width"])
    else:
        scale = wanted["shortest_edge"] / min(size)
        scale = min(scale, wanted.get("longest_edge", LONG) / max(size))
        height, width = size[0] * scale, size[1] * scale
    divisor = settings.get("size_divisor") or DIVISOR
    return (
        max(1, round(height / divisor)) * divisor,
        max(1, round(width / divisor)) * divisor,
    )
