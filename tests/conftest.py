import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FAKES = Path(__file__).with_name("device_fakes")


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
