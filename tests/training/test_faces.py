"""The face encoder: deepened, calibrated, and taught by votes, framing and other encoders."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dcet.runtime.arrays import FACE_PIXELS
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.training.augment.faces import corrupt_faces
from dcet.training.corpora.faces import Faces, read_ferplus
from dcet.training.dialogue.temperature import bias_of, calibrate_head, fit_temperature
from dcet.training.encoders.fit_encoder import FitEncoderConfig, fit_encoder
from dcet.training.encoders.soft_votes import with_answers_of
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder, encode_grey
from dcet.training.network.grow import deepened, widened
from dcet.training.saved import encoder_run
from tests.tiny_senses import SHAPE
from tests.tiny_training import at_random, quiet


@pytest.fixture
def shallow() -> FaceEncoder:
    encoder = at_random(FaceEncoder(FaceConfig(channels=(4, 4, 8), width=16)), seed=1).eval()
    assert isinstance(encoder, FaceEncoder)
    return encoder


def faces(count: int) -> Faces:
    torch.manual_seed(0)
    grey = torch.randint(256, (count, FACE_PIXELS, FACE_PIXELS), dtype=torch.uint8)
    emotion = torch.arange(count) % len(EMOTIONS)
    return Faces(grey, emotion, torch.rand(count, len(EMOTIONS)).softmax(dim=-1))


def config(data: Path, **changes: Any) -> FitEncoderConfig:
    options = {"data": str(data), "corpora": ["ferplus"], "epochs": 1, "batch": 12}
    return FitEncoderConfig.of("face", **(options | changes))


@torch.inference_mode()
def test_a_deeper_encoder_begins_by_saying_the_same(shallow: FaceEncoder) -> None:
    grey = faces(5).grey.float()
    before = shallow.encode(grey)
    deeper = deepened(shallow, (3, 2, 4)).eval()
    assert len(deeper.stages) == len(shallow.stages) + 3
    assert torch.equal(deeper.encode(grey), before)
    assert deepened(shallow, (1, 2, 2)) is shallow  # nothing is left out


def test_a_wider_encoder_begins_by_saying_the_same_and_its_copies_part(
    shallow: FaceEncoder,
) -> None:
    had = shallow.config
    doubled = [2 * channels for channels in had.channels]
    wide = dataclasses.replace(had, channels=doubled, width=3 * had.width)
    torch.manual_seed(0)
    wider = widened(shallow, wide).eval()
    grey = faces(5).grey.float()
    logits = wider.head(wider.encode(grey))
    assert torch.allclose(logits, shallow.head(shallow.encode(grey)), atol=1e-5)
    cross_entropy(logits, torch.arange(5)).backward()
    gradient = wider.get_parameter("stem.0.weight").grad
    assert gradient is not None
    one, copy = gradient.chunk(2)
    assert not torch.allclose(one, copy, rtol=0.01)
    for channels in ([had.channels[0] + 1, *doubled[1:]], [1, 1, 1], doubled[:2]):
        other = dataclasses.replace(wide, channels=channels)
        assert widened(shallow, other) is shallow  # no whole number of copies


def test_a_deeper_encoder_goes_on_from_a_run(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    begin = str(encoders["face"])
    deeper = config(
        data, begin=begin, shape={**SHAPE, "blocks": [2, 2, 3]}, learning_rate=0.0, average=0.0
    )
    fit_encoder(deeper, tmp_path / "deeper", quiet)
    first, second = (encoder_run.load(run).model for run in (encoders["face"], tmp_path / "deeper"))
    assert isinstance(second, FaceEncoder)
    assert second.config.depths == [2, 2, 3]
    assert torch.equal(first.get_parameter("stem.0.weight"), second.get_parameter("stem.0.weight"))
    shallower = config(data, begin=begin, shape={**SHAPE, "blocks": [1, 2, 2]})
    with pytest.raises(
        ConfigError, match="begin: expected an encoder of the student's shape"
    ) as no:
        fit_encoder(shallower, tmp_path / "shallower", quiet)
    assert "blocks=[1, 2, 2]" in str(no.value)  # asked for, got, and what to do
    assert "blocks=None" in str(no.value)
    assert "change `shape` or leave `begin` out" in str(no.value)
    assert len(str(no.value).splitlines()) == 1
    for blocks in ([2, 2], []):
        with pytest.raises(ConfigError, match="blocks: expected a number for each of 3 channels"):
            fit_encoder(config(data, shape={"blocks": blocks}), tmp_path / "none", quiet)


def test_licences_of_what_it_began_with_and_learned_from_are_kept(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    face = str(encoders["face"])
    for name, settings in (("begun", {"begin": face}), ("taught", {"votes_from": {face: 1.0}})):
        options = {"shape": SHAPE, "licences": {"more": "MIT"}, **settings}
        fit_encoder(config(data, **options), tmp_path / name, quiet)
        assert encoder_run.load(tmp_path / name).licences == {"corpus": "CC0", "more": "MIT"}


def test_too_much_sharpness_is_named(data: Path, tmp_path: Path) -> None:
    sharp = config(data, shape=SHAPE, sharpness=1e30, epochs=3)
    with pytest.raises(ConfigError, match=r"diverged; .* lower learning rates or less sharpness"):
        fit_encoder(sharp, tmp_path / "run", quiet)
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_what_a_run_began_with_has_its_share(
    data: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    """All of it, here."""
    begin = str(encoders["face"])
    fit_encoder(config(data, shape=SHAPE, begin=begin, begin_share=1.0), tmp_path / "run", quiet)
    first, second = (encoder_run.load(run).model for run in (encoders["face"], tmp_path / "run"))
    assert torch.equal(first.get_parameter("stem.0.weight"), second.get_parameter("stem.0.weight"))
    with pytest.raises(ConfigError, match="begin_share: expected an encoder to begin with"):
        config(data, begin_share=0.5)


def test_faces_are_framed_wider_and_by_black() -> None:
    torch.manual_seed(0)
    face = torch.full((400, FACE_PIXELS, FACE_PIXELS), 200.0)
    face[:, 12:36, 12:36] = 100.0
    corners = corrupt_faces(face)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    black = (corners == 0).any(dim=1).float().mean()
    assert 0.05 < black < 0.25  # beyond the edge, of a quarter


def test_rare_faces_are_repeated() -> None:
    some = faces(14)
    again = some.repeated({"disgust": 3, "fear": 2})
    assert torch.bincount(again.emotion).tolist() == [2, 6, 4, 2, 2, 2, 2]
    disgust = again.grey[again.emotion == 1]
    assert torch.equal(disgust[0], disgust[2])
    with pytest.raises(ConfigError, match=r"repeat: expected some of anger, .*, got disgusted"):
        some.repeated({"disgusted": 3})


def test_encoders_have_their_share_in_the_votes(encoders: dict[str, Path]) -> None:
    some, name = faces(6), str(encoders["face"])
    assert torch.equal(with_answers_of({}, some, 0.4), some.votes)
    said = with_answers_of({name: 1.0}, some, 1.0)
    mirrored = Faces(some.grey.flip(2), some.emotion, some.votes)
    assert torch.allclose(with_answers_of({name: 1.0}, mirrored, 1.0), said, atol=1e-6)
    mixed = with_answers_of({name: 1.0}, some, 0.25)
    assert torch.allclose(mixed, 0.75 * some.votes + 0.25 * said, atol=1e-6)
    sharper = with_answers_of({name: 0.1}, some, 1.0)
    assert (sharper.amax(dim=1) > said.amax(dim=1)).all()


def test_a_calibrated_head_is_as_sure_as_it_is_right() -> None:
    torch.manual_seed(0)
    head = nn.Linear(4, len(EMOTIONS))
    features = 5 * torch.randn(4000, 4)
    labels = torch.distributions.Categorical(logits=head(features)).sample()
    weight, bias = head.weight.detach().clone(), head.bias.detach().clone()
    with torch.no_grad():
        head.weight.mul_(0.3)
        head.bias.mul_(0.3)
    calibrate_head(head, features, labels, torch.zeros(len(EMOTIONS)))
    assert torch.allclose(head.weight, weight, rtol=0.1)
    assert torch.allclose(head.bias, bias, rtol=0.1)


def test_rare_emotions_are_named_more_often() -> None:
    torch.manual_seed(0)
    head = nn.Linear(4, len(EMOTIONS))
    features = torch.randn(500, 4)
    labels = head(features).argmax(dim=1)
    before = int((labels == 2).sum())
    bias = bias_of(torch.tensor([0, 1, 3, 4, 5, 6] * 50 + [2]), 0.5)
    calibrate_head(head, features, labels, bias)
    assert int((head(features).argmax(dim=1) == 2).sum()) > before


def test_what_is_kept_is_calibrated_on_dev(data: Path, encoders: dict[str, Path]) -> None:
    model = encoder_run.load(encoders["face"]).model
    assert isinstance(model, FaceEncoder)
    dev = read_ferplus(data / "ferplus", "dev")
    with torch.no_grad():
        logits = model.head(encode_grey(model, dev.grey))
    assert fit_temperature(logits, dev.emotion) == pytest.approx(1.0, abs=0.05)
