from pathlib import Path

import pytest

from dcet.runtime import Bundle
from tests.tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle to which what is loud is a voice."""
    path: Path = tmp_path_factory.mktemp("bundle") / "hearing.dcet"
    return Bundle.open(write_tiny_bundle(path, senses=("audio", "face", "speech")))
