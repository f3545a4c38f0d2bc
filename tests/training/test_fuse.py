"""Fusing three senses: what stays, what is learned, what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from dcet.runtime.errors import ConfigError, DataError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.fusion.fuse import COMMERCIAL_SPEECH, FuseConfig, all_but_text, fuse
from dcet.training.network.audio_encoder import AudioConfig, AudioEncoder
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder
from dcet.training.saved import checkpoint, encoder_run
from dcet.training.saved.checkpoint import Checkpoint
from dcet.training.saved.encoder_run import EncoderRun
from tests.tiny_senses import write_senses
from tests.tiny_training import TINY, Killed, KillIn, Recorder, quiet, with_senses, write_meld

CHANNELS = (4, 8, 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_senses(tmp_path_factory.mktemp("senses"))
    write_meld(folder / "meld")
    return folder


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Runs of untrained encoders: their features differ by what they are fed, and that suffices."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoders")
    models: dict[str, AudioEncoder | FaceEncoder] = {
        "audio": AudioEncoder(AudioConfig(channels=CHANNELS, width=TINY.audio_width)),
        "face": FaceEncoder(FaceConfig(channels=CHANNELS, width=TINY.face_width)),
    }
    for name, model in models.items():
        licences = {f"{name} corpus": "CC0"}
        made = EncoderRun(model=model, tokenizer=None, metrics={"n": 1}, licences=licences)
        encoder_run.save(folder / name / "checkpoint", made)
    return {name: str(folder / name) for name in models}


@pytest.fixture(scope="module")
def config(run: Path, data: Path, encoders: dict[str, str]) -> FuseConfig:
    return FuseConfig(
        checkpoint=str(run),
        audio=encoders["audio"],
        face=encoders["face"],
        data=str(data),
        epochs=2,
        dialogues_per_batch=8,
    )


@pytest.fixture(scope="module")
def fused(config: FuseConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("fused") / "run"
    fuse(config, folder, quiet)
    return folder


def test_text_alone_gives_exactly_what_it_gave_before(
    config: FuseConfig, fused: Path, run: Path, data: Path
) -> None:
    figures = fuse(config, fused, quiet)
    before, after = checkpoint.load(run), checkpoint.load(fused)
    dev = Corpus.of_meld(data / "meld", "dev")
    texts = [predict(c.model, examples(dev, c.tokenizer)).logits for c in (before, after)]
    assert (texts[0] == texts[1]).all()
    # It did learn, though.
    assert not torch.equal(
        before.model.step.fusion.reliability.weight, after.model.step.fusion.reliability.weight
    )
    assert after.trained == ("text", "audio", "face")
    assert after.licences == {**before.licences, "audio corpus": "CC0", "face corpus": "CC0"}
    assert after.metrics["dev"] == before.metrics["dev"]
    assert after.metrics["constructed"] == json.loads(json.dumps(figures))
    assert figures["text"]["modality_weights"] == {"text": 1.0, "audio": 0.0, "face": 0.0}
    for name, row in figures.items():
        if name != "n":
            assert sum(row["modality_weights"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_run_ends_as_an_unbroken_one(
    config: FuseConfig, fused: Path, tmp_path: Path, epoch: int
) -> None:
    with pytest.raises(Killed):
        fuse(config, tmp_path / "run", KillIn(epoch))
    figures, seen = fuse(config, tmp_path / "run", quiet), Recorder()
    assert contents(tmp_path / "run") == contents(fused)
    assert fuse(config, tmp_path / "run", seen) == figures  # finished: nothing is done
    assert not seen.said
    with pytest.raises(ConfigError, match="begun with another epochs"):
        fuse(dataclasses.replace(config, epochs=3), tmp_path / "run", quiet)


def contents(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and "resume" not in path.parts
    }


def test_only_audio_face_and_gating_are_trained(fresh: Checkpoint) -> None:
    model = with_senses(fresh).model
    trained = {id(parameter) for parameter in all_but_text(model)}
    fusion = model.step.fusion
    for name, parameter in model.named_parameters():
        in_fusion = name.startswith("step.fusion.")
        of_text = name.startswith(("step.fusion.text", "step.fusion.norm"))
        assert (id(parameter) in trained) == (in_fusion and not of_text), name
        assert parameter.requires_grad == (id(parameter) in trained)
    fusion.kind.sum().backward()
    assert fusion.kind.grad is not None
    assert fusion.kind.grad[:, 0].tolist() == [0, 1, 1]


def test_a_run_of_the_wrong_sense_is_refused(config: FuseConfig, tmp_path: Path) -> None:
    swapped = dataclasses.replace(config, audio=config.face)
    with pytest.raises(ConfigError, match="expected an encoder of audio, got one of face"):
        fuse(swapped, tmp_path / "fused", quiet)
    assert not (tmp_path / "fused" / "checkpoint").exists()


def test_nothing_non_commercial_goes_into_a_commercial_model(
    config: FuseConfig, encoders: dict[str, str], tmp_path: Path
) -> None:
    loaded = encoder_run.load(Path(encoders["audio"]))
    bought = dataclasses.replace(loaded, licences={"RAVDESS": "CC BY-NC-SA 4.0"})
    encoder_run.save(tmp_path / "audio", bought)
    commercial = dataclasses.replace(
        config, audio=str(tmp_path / "audio"), speech=COMMERCIAL_SPEECH
    )
    with pytest.raises(ConfigError, match="--audio: RAVDESS may not be used commercially"):
        fuse(commercial, tmp_path / "fused", quiet)
    encoder_run.save(tmp_path / "audio", dataclasses.replace(loaded, licences={}))
    with pytest.raises(ConfigError, match="--audio: expected the licences of what it learned from"):
        fuse(commercial, tmp_path / "fused", quiet)
    assert not (tmp_path / "fused").exists()


def test_a_dev_split_of_one_speaker_is_refused(
    config: FuseConfig, data: Path, tmp_path: Path
) -> None:
    """Half of the speakers are for training, half for judging."""
    own = Path(shutil.copytree(data, tmp_path / "data"))
    table = own / "crema_d" / "labels.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace(",3,", ",2,"), encoding="utf-8"
    )  # speaker 3 becomes speaker 2
    with pytest.raises(DataError, match="at least two speakers"):
        fuse(dataclasses.replace(config, data=str(own)), tmp_path / "fused", quiet)
    assert not (tmp_path / "fused").exists()
