"""Persons by a Mask2Former, small and random, and the crops without everyone else."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from dcet.dvcea.annotations import Annotations, Clip
from dcet.dvcea.build import Build
from dcet.dvcea.persons import Mask2FormerPersons
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import BLANK, Masks, find_speaker
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace
from tests.live.made_media import write_clip
from tests.tiny_training import quiet


def write_mask2former(folder: Path, labels: dict[int, str]) -> Path:
    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
    )
    backbone.set_output_features_output_indices(["stage1", "stage2", "stage3", "stage4"], None)
    config = Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=8,
        encoder_layers=2,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=8,
        num_queries=6,
        id2label=labels,
    )
    model = Mask2FormerForUniversalSegmentation(config)
    with torch.no_grad():  # sure that all it finds are of its first label
        model.class_predictor.weight.zero_()
        model.class_predictor.bias.copy_(torch.tensor([5.0] + [0.0] * len(labels)))
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"size": {"height": 64, "width": 64}, "image_mean": [0.5, 0.5, 0.5], '
        '"image_std": [0.2, 0.2, 0.2]}',
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def mask2former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mask2former(tmp_path_factory.mktemp("m2f") / "tiny", {0: "person", 1: "cat"})


def test_masks_have_the_size_of_the_picture(mask2former: Path) -> None:
    persons = Mask2FormerPersons(str(mask2former), "cpu")
    frame = np.random.default_rng(0).integers(0, 255, (50, 90, 3)).astype(np.uint8)
    masks = persons.masks(frame)
    assert len(masks) == 6  # each of its queries is sure of a person
    assert all(mask.shape == (50, 90) and mask.dtype == bool for mask in masks)
    again = persons.masks(frame)
    assert all(np.array_equal(one, two) for one, two in zip(masks, again, strict=True))


def test_what_is_no_person_has_no_mask(tmp_path: Path) -> None:
    folder = write_mask2former(tmp_path / "cats", {0: "cat", 1: "person"})
    assert len(Mask2FormerPersons(str(folder), "cpu").masks(np.zeros((40, 40, 3), np.uint8))) == 0
    with pytest.raises(ConfigError, match="expected a model with the label 'person'"):
        Mask2FormerPersons(str(write_mask2former(tmp_path / "none", {0: "a", 1: "b"})), "cpu")


class Finder(FaceFinder):
    """Finds the one face where it is."""

    def __init__(self) -> None:
        pass

    def find_all(self, frame: Pixels) -> list[FoundFace]:
        box = np.array([40, 10, 40, 40], np.float32)
        place = np.array([0.375, 0.3, 0.25], np.float32)
        draw = np.random.default_rng(0)
        pixels = draw.integers(0, 255, (96, 96, 3)).astype(np.uint8)
        return [FoundFace(pixels, 0.9, place, box)]


class Halves:
    """Two persons who meet at column 60, the middle of the face; or the second one alone."""

    def __init__(self, own: slice) -> None:
        self.own = own

    def masks(self, frame: Pixels) -> Masks:
        masks: list[NDArray[np.bool_]] = [np.zeros((100, 160), bool) for _ in range(2)]
        masks[0][:, self.own] = True
        masks[1][:, 70:] = True
        return masks


@pytest.mark.parametrize(("own", "blank"), [(slice(0, 70), 10), (slice(0, 75), 5)])
def test_other_people_are_blanked_out(config: BuildConfig, own: slice, blank: int) -> None:
    """What two masks claim is the speaker's."""
    frame = np.full((100, 160, 3), 200, np.uint8)
    sized = dataclasses.replace(config, crop_pixels=40, steps_per_search=1)
    pictures = [(50_000, frame), (150_000, frame), (250_000, frame)]
    faces = find_speaker(pictures, None, 300_000, sized, Finder(), Halves(own))
    assert faces.crops.shape == (2, 40, 40, 3)
    assert faces.times_us.tolist() == [100_000, 300_000]
    np.testing.assert_array_equal(faces.crops[0][:, -blank:], BLANK)
    np.testing.assert_array_equal(faces.crops[0][:, :-blank], 200)
    assert (faces.frames, faces.face_frames, faces.confidence) == (2, 2, 0.5)
    assert faces.reason.startswith("the only person seen; ")


def test_the_manifest_says_which_persons_were_told_apart(
    mask2former: Path, config: BuildConfig, tmp_path: Path
) -> None:
    write_clip(tmp_path / "a.mp4", range(0, 400, 40), seconds=0.4)
    facts: dict[str, Any] = dict.fromkeys(("emotion", "sentiment", "part_us"))
    clip = Clip(
        split="dev",
        dialogue="0",
        utterance=0,
        speaker="A",
        text="we are fine",
        source="a.mp4",
        start_us=None,
        end_us=None,
        **facts,
    )
    without, given = config, dataclasses.replace(config, persons=str(mask2former))
    for place, settings in enumerate((without, given)):
        output = tmp_path / f"set{place}"
        manifest = Build(tmp_path, Annotations([clip]), output, settings).run(quiet)
        assert manifest is not None
        persons = manifest["isolation"]["persons"]
        assert (persons is None) == (settings is without)
    assert persons["name"] == "tiny"
    assert len(persons["sha256"]) == 64
