import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from dcet.runtime import Bundle, Conversation
from tests.tiny_bundle import write_tiny_bundle

# A busy machine is no fault of what is tested.
hypothesis.settings.register_profile("dcet", deadline=None)
hypothesis.settings.load_profile("dcet")

FAKES = Path(__file__).with_name("device_fakes")

# What `make test-fast` runs, but for single tests marked `slow`: the tests that need neither
# training nor an export.
FAST = {"runtime", "data", "targets", "quantization"}
NOT_SLOW = "not slow"


def is_slow(path: Path) -> bool:
    return path.relative_to(Path(__file__).parent).parts[0] not in FAST


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of the slow tests, such as torch, where only the fast ones are wanted."""
    is_wanted = config.option.markexpr != NOT_SLOW or collection_path.suffix != ".py"
    return None if is_wanted or not is_slow(collection_path) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the real recordings."""
    folder = os.environ.get("DCET_DATA")
    if folder is None:
        pytest.skip("DCET_DATA does not say where the recordings are")
    return Path(folder)


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
def reader(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Reads text, and neither hears nor sees; it was trained on features of audio."""
    path = tmp_path_factory.mktemp("bundle") / "reader.dcet"
    return Bundle.open(write_tiny_bundle(path, senses=()))


@pytest.fixture(scope="session")
def bundle(tiny: Path) -> Bundle:
    return Bundle.open(tiny)


@pytest.fixture
def conversation(bundle: Bundle) -> Conversation:
    return Conversation(bundle)


@pytest.fixture
def fake_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """This process and those it starts have a CUDA device and TensorRT, which are made up.

    What goes wrong with them is set through the environment, see device_fakes.
    """
    paths = [str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.syspath_prepend(FAKES)
    for name in _modules():
        monkeypatch.delitem(sys.modules, name)
    yield monkeypatch
    for name in _modules():
        del sys.modules[name]


def _modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in ("cuda", "tensorrt")]
