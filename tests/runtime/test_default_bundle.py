"""The bundle that ships with the package: what it is, and what is said where it is not whole."""

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dcet.runtime import Bundle, Conversation
from dcet.runtime.bundle import bundle as module
from dcet.runtime.errors import BundleError, BundleHashMismatch, BundleNotFound, BundleTruncated
from dcet.targets import load_target

WEIGHTS = Path(__file__).parents[2] / "training/dcet/training/checkpoints/default/model.safetensors"
MOST_BYTES = 25_000_000


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle.default()


def test_it_was_made_of_the_shipped_checkpoint(shipped: Bundle) -> None:
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert shipped.manifest.checkpoint_sha256 == sha256, "run: make default-bundle"


def test_it_has_the_model_card_of_the_shipped_checkpoint(shipped: Bundle) -> None:
    """What it was trained on and for what it may not be used goes wherever the bundle goes."""
    with zipfile.ZipFile(shipped.path) as archive:
        card = archive.read("MODEL_CARD.md")
    assert card == (WEIGHTS.parent / "MODEL_CARD.md").read_bytes(), "run: make default-bundle"


def test_it_is_small_and_for_any_cpu(shipped: Bundle) -> None:
    assert shipped.path.stat().st_size <= MOST_BYTES
    target = load_target("portable")
    assert (shipped.manifest.target, shipped.manifest.engines) == (target.name, target.engines)
    precisions = {id: graph.precision for id, graph in shipped.manifest.graphs.items()}
    assert precisions == {id: target.precision_of(id) for id in precisions}
    assert precisions.items() >= target.precision.items()
    # ONNX Runtime has no fast kernel on x86-64 for activations of signed int8.
    assert shipped.manifest.quantization is not None
    assert not shipped.manifest.quantization.symmetric


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_it_tells_good_news_from_bad_on_both_engines(shipped: Bundle, engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    conversation = Conversation(shipped, engine)
    good = conversation.turn("Ann", "I got the job! I really got it!")
    bad = conversation.turn("Ben", "My dog died this morning. I miss him so much.")
    assert (good.emotion, bad.emotion) == ("joy", "sadness")
    assert good.sentiment > 0.3 > -0.3 > bad.sentiment


def test_onnx_runtime_runs_it_where_openvino_is_missing(
    shipped: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = Bundle.open(shipped.path).engine()
    assert engine.name == "onnxruntime-cpu"
    assert "openvino" in engine.reason


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [(Path.unlink, BundleNotFound), (cut, BundleTruncated), (flip, BundleHashMismatch)],
)
def test_without_a_whole_one_the_cure_is_named(
    shipped: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    kind: type[BundleError],
) -> None:
    copy = tmp_path / "default.dcet"
    copy.write_bytes(shipped.path.read_bytes())
    damage(copy)
    monkeypatch.setattr(module, "DEFAULT", copy)
    with pytest.raises(kind, match=r"pip install --force-reinstall --no-deps dcet") as raised:
        Bundle.default()
    assert str(copy) in str(raised.value)
