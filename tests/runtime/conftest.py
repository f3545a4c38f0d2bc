from pathlib import Path

import pytest

from dcet.runtime import Bundle, Conversation
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored zip."""
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny.dcet")


@pytest.fixture(scope="session")
def tiny_openvino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored zip with OpenVINO IR."""
    pytest.importorskip("openvino")
    return write_tiny_bundle(
        tmp_path_factory.mktemp("bundle") / "tiny-openvino.dcet",
        target="openvino-cpu",
        engines=("openvino", "onnxruntime"),
    )


@pytest.fixture(scope="session")
def bundle(tiny: Path) -> Bundle:
    return Bundle.open(tiny)


@pytest.fixture
def conversation(bundle: Bundle) -> Conversation:
    return Conversation(bundle)
