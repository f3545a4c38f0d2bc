"""Names that `import dcet.runtime` gives, and its cost."""

import dataclasses
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dcet.runtime
from dcet.runtime import errors
from tests.tiny_bundle import write_tiny_bundle

HEAVY = {
    "click",
    "cv2",
    "librosa",
    "onnx",
    "onnxruntime",
    "openvino",
    "rich",
    "scipy",
    "soxr",
    "tokenizers",
    "torch",
    "transformers",
}
MEASURE = """
import json, sys, time
start = time.process_time()
import dcet.runtime
print(json.dumps([time.process_time() - start, sorted({m.partition(".")[0] for m in sys.modules})]))
"""


def measure() -> tuple[float, list[str]]:
    output = subprocess.check_output([sys.executable, "-c", MEASURE], encoding="utf-8")
    seconds, modules = json.loads(output)
    return seconds, modules


CONVERSE = """
import sys
from dcet.runtime import Bundle, Conversation
Conversation(Bundle.open(sys.argv[1]), sys.argv[2]).turn("Ann", "i am happy")
"""


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_conversation_writes_nothing(tmp_path: Path, engine: str) -> None:
    """Nor do engines, which otherwise keep an identifier and what they have to tell."""
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet", engines=(engine,))
    home = tmp_path / "home"
    home.mkdir()
    # Of our own environment nothing: in tests and CI it writes nothing either way.
    environment = {"HOME": str(home), "TMPDIR": str(home)}
    command = [sys.executable, "-B", "-c", CONVERSE, str(bundle), engine]
    subprocess.run(command, check=True, cwd=home, env=environment)
    assert list(home.iterdir()) == []


def test_all_is_what_is_visible() -> None:
    def is_ours(value: Any) -> bool:
        return getattr(value, "__module__", "").startswith("dcet.") or isinstance(value, tuple)

    visible = {
        name
        for name, value in vars(dcet.runtime).items()
        if not name.startswith("_") and is_ours(value)
    }
    assert visible == set(dcet.runtime.__all__)
    assert list(dcet.runtime.__all__) == sorted(
        dcet.runtime.__all__, key=lambda name: (not name.isupper(), name)
    )


def test_a_turn_takes_and_an_estimate_gives_what_hosts_were_written_for() -> None:
    """More may be added; none of these may go."""
    turn = inspect.signature(dcet.runtime.Conversation.turn).parameters
    assert list(turn)[:8] == (
        "self speaker text audio faces sample_rate_hz colors whole_frames".split()
    )
    estimate = {field.name for field in dataclasses.fields(dcet.runtime.Estimate)}
    assert estimate >= set(
        "speaker turn emotion probabilities sentiment shift modality_weights quality latency_ms "
        "engine engine_reason degraded".split()
    )


def test_every_error_is_drawn_in_the_tree() -> None:
    names = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.DcetError)
    }
    assert all(f" {name} " in f" {errors.__doc__} ".replace("\n", " ") for name in names)


def test_import_is_lean() -> None:
    _, modules = measure()
    assert not HEAVY & set(modules)


def test_import_is_quick() -> None:
    """The promise is 0.2 s; twice that leaves room for a machine that is busy."""
    assert min(measure()[0] for _ in range(4)) < 0.4
