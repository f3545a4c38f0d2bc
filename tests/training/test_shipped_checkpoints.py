"""The checkpoints that ship are small enough, and as good as they say."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from dcet.runtime.labels import MODALITIES
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.speech import read_speech
from dcet.training.dialogue.batches import examples
from dcet.training.dialogue.forward import predict
from dcet.training.evaluate import evaluate
from dcet.training.evaluate_text import evaluate_dialogues
from dcet.training.fusion.clips import encode_faces, encode_speech, halves
from dcet.training.fusion.encoded_dialogues import encode_dialogues
from dcet.training.fusion.figures import constructed_figures
from dcet.training.fusion.generator import Generator
from dcet.training.saved.checkpoint import Checkpoint, load
from dcet.training.saved.shipped import SHIPPED, folder_of
from tests.tiny_training import Line, write_csv

pytestmark = pytest.mark.skipif(
    not (folder_of("default") / "model.safetensors").is_file(), reason="no checkpoint ships here"
)
MAX_SIZE_MB = {"default": 50, "large": 60}
MAX_SIZE_MB_OF_ALL = 120
TEXT_MILLIONS = {"default": 12, "large": 45}
REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=SHIPPED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shipped(name: str) -> Checkpoint:
    return load(name)


def test_the_weights_that_ship_are_small() -> None:
    (bundle,) = (REPO / "runtime").rglob("*.dcet")
    size_bytes = bundle.stat().st_size
    for name in SHIPPED:
        files = [path for path in folder_of(name).rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= {".json", ".md", ".safetensors"}
        size_of_one = sum(path.stat().st_size for path in files)
        assert size_of_one <= MAX_SIZE_MB[name] * 1e6
        size_bytes += size_of_one
    assert size_bytes <= MAX_SIZE_MB_OF_ALL * 1e6


def test_the_encoders_are_small(name: str, shipped: Checkpoint) -> None:
    model = shipped.model
    for part, millions in ((model.text, TEXT_MILLIONS[name]), (model.audio, 1), (model.face, 1)):
        assert part is not None
        assert sum(parameter.numel() for parameter in part.parameters()) <= millions * 1e6


@pytest.mark.parametrize(
    ("corpus", "modality"), [("crema_d", "audio"), ("ravdess", "audio"), ("ferplus", "face")]
)
def test_voices_and_faces_are_read_as_well_as_it_says(
    name: str, shipped: Checkpoint, corpus: str, modality: str
) -> None:
    if "DCET_DATA" not in os.environ:
        pytest.skip(f"DCET_DATA is not set, so there is no {corpus} to measure it on")
    folder = Path(os.environ["DCET_DATA"], corpus)
    found = evaluate(name, corpus, data=folder, split="dev", left_out=(), reset_memory=False)
    stated = shipped.metrics[modality][corpus]
    for key in ("uar", "accuracy"):
        assert found[key] == pytest.approx(stated[key], abs=3e-3)


def shifts(checkpoint: Checkpoint, folder: Path, *texts: str) -> list[float]:
    """Of one speaker, from their second turn on."""
    rows = [Line(text, "Ann", "joy", 0, place) for place, text in enumerate(texts)]
    corpus = Corpus.read(write_csv(folder / "said.csv", rows))
    shift = predict(checkpoint.model, examples(corpus, checkpoint.tokenizer)).shift
    return [float(probability) for probability in shift[1:]]


def test_the_same_again_is_no_shift_and_bad_news_is_one(
    shipped: Checkpoint, tmp_path: Path
) -> None:
    assert max(shifts(shipped, tmp_path, *["I am so happy!"] * 3)) < 0.35
    bad = "My dog died this morning. I miss him so much."
    assert shifts(shipped, tmp_path, "I am so happy!", bad)[0] > 0.65


def test_licences_and_card_come_with_it(name: str, shipped: Checkpoint) -> None:
    assert shipped.licences
    assert shipped.card.startswith(f"# Model card: dcet-{name}")
    if name == "default":
        assert shipped.card == (REPO / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("remember", "part"), [(True, "dev"), (False, "dev_memory_reset")], ids=["memory", "reset"]
)
def test_it_is_as_good_as_it_says(shipped: Checkpoint, remember: bool, part: str) -> None:
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there is no MELD to measure it on")
    csv = Path(os.environ["DCET_DATA"], "meld", "dev_sent_emo.csv")
    found, stated = (
        evaluate_dialogues(shipped, csv, Corpus.read(csv), remember=remember),
        shipped.metrics[part],
    )
    for key in ("weighted_f1", "macro_f1", "accuracy"):
        assert found[key] == pytest.approx(stated[key], abs=1e-3)
    assert found["n"] == stated["n"]


@pytest.fixture(scope="module")
def constructed(shipped: Checkpoint) -> dict[str, Any]:
    """Figures on MELD's dev split, with clips and faces that the fusion was not trained on.

    Voices and faces that are not corrupted show what is felt in two turns of five, as in training.
    """
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there are no voices and faces to construct with")
    folder = Path(os.environ["DCET_DATA"])
    model = shipped.model
    assert model.audio is not None
    assert model.face is not None
    torch.manual_seed(0)
    crema_d, ravdess = (
        encode_speech(model.audio, halves(read_speech(corpus, folder / corpus, "dev"))[1])
        for corpus in ("crema_d", "ravdess")
    )
    faces = read_ferplus(folder / "ferplus", "dev")
    unseen = encode_faces(model.face, faces.only(torch.arange(len(faces)) % 8 == 1))
    dialogues = encode_dialogues(shipped, Corpus.of_meld(folder / "meld", "dev"), seed=0)
    generator = Generator(crema_d + ravdess, unseen, model.config)
    return constructed_figures(model, dialogues, generator)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_corrupted_modality_weighs_less_and_costs_little(
    name: str, constructed: dict[str, Any], modality: str
) -> None:
    whole, struck = constructed["text+audio+face"], constructed[f"{modality} corrupted"]
    others = "+".join(other for other in MODALITIES if other != modality)
    if (name, modality) == ("large", "text"):  # misheard words are worth as much more than none
        assert struck["weighted_f1"] - constructed[others]["weighted_f1"] > 0.02
    else:
        assert struck["modality_weights"][modality] < whole["modality_weights"][modality]
    # Misheard words cost `default` more than no text, since voices and faces that disagree with
    # them are as often mistaken; MODEL_CARD.md says so.
    most = 0.04 if modality == "text" else 0.02
    assert constructed[others]["weighted_f1"] - struck["weighted_f1"] <= most


def test_the_face_of_another_person_is_trusted_less(constructed: dict[str, Any]) -> None:
    """There is nothing wrong with it but what the others say."""
    whole, struck = constructed["text+audio+face"], constructed["face of somebody else"]
    assert struck["modality_weights"]["face"] < 0.95 * whole["modality_weights"]["face"]
