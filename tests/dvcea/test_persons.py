"""Persons by a Mask2Former, small and random, and the crops without everyone else."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from dcet.dvcea.annotations import Annotations, Clip
from dcet.dvcea.build import Build
from dcet.dvcea.person_tracks import Person, PersonTracks
from dcet.dvcea.persons import Mask2FormerPersons
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.speaker import BLANK, find_speaker
from dcet.live.people.face_tracker import TrackedFace
from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.face import Pixels
from dcet.runtime.senses.face_finder import FaceFinder, FoundFace, cut_out
from tests.live.made_media import write_clip
from tests.live.scenes import picture
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
    found = persons.find(frame)
    assert len(found) == 6  # each of its queries is sure of a person
    assert all(each.mask.shape == (50, 90) and each.mask.dtype == bool for each in found)
    assert all(0.9 < each.sure <= 1 for each in found)
    again = persons.find(frame)
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, again, strict=True))


def test_what_is_no_person_has_no_mask(tmp_path: Path) -> None:
    folder = write_mask2former(tmp_path / "cats", {0: "cat", 1: "person"})
    assert len(Mask2FormerPersons(str(folder), "cpu").find(np.zeros((40, 40, 3), np.uint8))) == 0
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

    def find(self, frame: Pixels) -> list[Person]:
        masks: list[NDArray[np.bool_]] = [np.zeros((100, 160), bool) for _ in range(2)]
        masks[0][:, self.own] = True
        masks[1][:, 70:] = True
        return [Person(mask, 0.9) for mask in masks]


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


def tracks_of(people: Sequence[int], times_us: Sequence[int]) -> list[int]:
    """The tracks of the faces of people who are seen one after the other, at one place, each of
    them a new one to the tracker of faces."""
    tracks, found = PersonTracks(), []
    for number, (person, at_us) in enumerate(zip(people, times_us, strict=True)):
        frame = picture(person)
        face = TrackedFace(number, cut_out(frame, np.array([0, 0, 60, 60], np.float32), 0.9), at_us)
        mask = np.zeros(frame.shape[:2], bool)
        mask[:110, :70] = True
        (named,) = tracks.update(at_us, [face], [Person(mask, 0.9)], frame)
        found.append(named.track_id)
    return found


@pytest.mark.parametrize(
    ("people", "times_us", "tracks"),
    [
        ((1, 1, 1), (0, 200_000, 400_000), [0, 0, 0]),  # the same person
        ((1, 2, 2), (0, 200_000, 400_000), [0, 1, 1]),  # a cut to somebody else
    ],
)
def test_faces_in_one_person_are_of_one_track(
    people: Sequence[int], times_us: Sequence[int], tracks: list[int]
) -> None:
    assert tracks_of(people, times_us) == tracks


@pytest.mark.parametrize("step_us", [40_000, 400_000])
def test_a_person_is_lost_after_a_second_however_many_pictures_that_is(step_us: int) -> None:
    tracks, mask, named = PersonTracks(), np.zeros((120, 240), bool), list[TrackedFace]()
    mask[:110, :70] = True
    for at_us in range(0, 4_000_001, step_us):
        if at_us not in (0, 800_000, 4_000_000):
            tracks.update(at_us, [], [], picture())
            continue
        found = cut_out(picture(1), np.array([0, 0, 60, 60], np.float32), 0.9)
        face = TrackedFace(len(named), found, at_us)
        named += tracks.update(at_us, [face], [Person(mask, 0.9)], picture(1))
    assert [face.track_id for face in named] == [0, 0, 2]


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
        assert ("ByteTrack" in manifest["isolation"]["tracker"]) == (settings is given)
    assert persons["name"] == "tiny"
    assert len(persons["sha256"]) == 64
