"""Conversations are constructed of what has the turn's own label, and always the same way."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from dcet.data.constructed import ConstructedTurn, Material, construct, count_turns, read_material
from dcet.runtime.errors import DataError, DataNotFound, MissingColumn, UnknownLabel
from tests.tiny_recordings import (
    ACTORS,
    SPLIT,
    TURNS,
    grey_of,
    tone_hz,
    write_recordings,
    write_table,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_recordings(tmp_path / "data")


@pytest.fixture
def material(folder: Path) -> Material:
    return read_material(folder, SPLIT)


def heard_hz(scene: ConstructedTurn) -> int:
    assert scene.audio is not None
    spectrum = np.abs(np.fft.rfft(scene.audio))
    return round(float(spectrum.argmax()) * 16_000 / len(scene.audio))


def test_voice_and_faces_have_the_label_of_the_turn(material: Material) -> None:
    for scenes in construct(material, 3, seed=0):
        for scene in scenes:
            assert heard_hz(scene) in {tone_hz(actor, scene.emotion) for actor in range(2)}
            assert scene.faces is not None
            assert 1 <= len(scene.faces) <= 2  # no face twice, and there are but two of each
            grey = grey_of(scene.emotion)
            assert set(scene.faces.max(axis=(1, 2))) <= {grey, grey + 1}


def test_a_speaker_keeps_their_actor_and_two_speakers_have_two(material: Material) -> None:
    for scenes in construct(material, 3, seed=0):
        actors = {scene.speaker: heard_hz(scene) // 1000 for scene in scenes}
        assert all(heard_hz(scene) // 1000 == actors[scene.speaker] for scene in scenes)
        assert actors["Ada"] != actors["Ben"]


def test_the_same_seed_gives_the_same_and_fewer_dialogues_are_a_part(material: Material) -> None:
    def signature(dialogues: int, seed: int) -> list[tuple[str | None, int]]:
        scenes = construct(material, dialogues, seed)
        return [(scene.text, heard_hz(scene)) for part in scenes for scene in part]

    assert signature(3, seed=0) == signature(3, seed=0)
    assert signature(3, seed=0)[: 2 * len(TURNS)] == signature(2, seed=0)
    assert signature(3, seed=0) != signature(3, seed=1)


def test_there_are_no_more_dialogues_than_there_are(material: Material) -> None:
    assert count_turns(construct(material, 99, seed=0)) == 3 * len(TURNS)


def test_a_split_that_nobody_belongs_to_is_named(folder: Path) -> None:
    (folder / "meld" / "train_sent_emo.csv").write_bytes(
        (folder / "meld" / f"{SPLIT}_sent_emo.csv").read_bytes()
    )
    with pytest.raises(DataError, match="split 'train'"):
        read_material(folder, "train")


def test_an_emotion_that_an_actor_never_plays_is_named(folder: Path) -> None:
    table = folder / "ravdess" / "labels.csv"
    rows = [
        row
        for row in table.read_text(encoding="utf-8").splitlines()
        if f"{ACTORS[1]}-fear" not in row
    ]
    table.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match=f"actor {ACTORS[1]}.*no fear"):
        read_material(folder, SPLIT)


@pytest.mark.parametrize(
    ("columns", "row", "error"),
    [
        (("file", "speaker", "label"), ("a", "17", "joy"), MissingColumn),
        (("file", "speaker", "label", "split"), ("a", "17", "calm", "dev"), UnknownLabel),
        (("file", "speaker", "label", "split"), ("nowhere.flac", "17", "joy", "dev"), DataError),
    ],
)
def test_a_bad_table_of_clips_is_an_error(
    folder: Path, columns: tuple[str, ...], row: tuple[object, ...], error: type[Exception]
) -> None:
    write_table(folder / "ravdess" / "labels.csv", columns, [row])
    with pytest.raises(error, match="ravdess"):
        read_material(folder, SPLIT)


def test_sound_at_another_rate_is_an_error(folder: Path) -> None:
    file = folder / "ravdess" / f"{ACTORS[0]}-joy.flac"
    soundfile.write(file, np.zeros(100), 44_100)
    with pytest.raises(DataError, match="44100 Hz"):
        read_material(folder, SPLIT)


def test_a_picture_that_is_none_or_too_small_is_an_error(folder: Path) -> None:
    mosaic = folder / "ferplus" / "faces_00.png"
    cv2.imwrite(str(mosaic), np.zeros((60, 60), np.uint8))
    with pytest.raises(DataError, match="no face at"):
        read_material(folder, SPLIT)
    mosaic.write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot read the picture"):
        read_material(folder, SPLIT)


def test_a_missing_folder_is_an_error(folder: Path) -> None:
    (folder / "ferplus" / "labels.csv").unlink()
    with pytest.raises(DataNotFound, match="ferplus"):
        read_material(folder, SPLIT)


@pytest.mark.skipif("DCET_DATA" not in os.environ, reason="DCET_DATA names no folder of real data")
def test_the_real_data_can_be_used() -> None:
    material = read_material(Path(os.environ["DCET_DATA"]), "dev")
    assert (len(material.dialogues), len(material.actors)) == (114, 4)
    assert sum(map(len, material.faces)) == 3305
    assert count_turns(construct(material, 114, seed=0)) == 1109
