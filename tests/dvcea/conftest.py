"""Fixtures of the tests of DVCEA: encoders of a few kilobytes, made once."""

import pytest

from dcet.dvcea.settings import BuildConfig
from tests.pretend_device import pretend_device
from tests.tiny_senses import write_resnet, write_wav2vec2
from tests.tiny_training import one_thread, write_bert

__all__ = ["one_thread", "pretend_device"]  # fixtures: pytest finds them by their names here


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> BuildConfig:
    folder = tmp_path_factory.mktemp("encoders")
    return BuildConfig(
        visual_encoder=str(write_resnet(folder / "resnet", emotions=False)),
        audio_encoder=str(write_wav2vec2(folder / "wav2vec2", emotions=False)),
        text_encoder=str(write_bert(folder / "bert")),
        utterances_at_once=2,
        crop_pixels=48,
        licences={"videos": "CC0-1.0"},
    )
