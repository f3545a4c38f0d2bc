"""Effects of an engine on its process: memory, cores, forks, and imports."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests import tiny_bundle
from tests.tiny_bundle import write_tiny_bundle

ENGINES = ["onnxruntime", "openvino"]
pytestmark = pytest.mark.slow
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def run(code: str, *arguments: object, seconds: float = 180, cpus: set[int] | None = None) -> str:
    """Run code in a process of its own, which must end in time, and return what it prints."""
    done = subprocess.run(
        # Python 3.12 warns of a fork while threads run, which is what is tested.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
        preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


VARIED_SIZES = """
import sys
import numpy as np
from dcet.runtime import Bundle

def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

engine = Bundle.open(sys.argv[1]).engine(sys.argv[2])
noise = np.random.default_rng(0)
face = noise.integers(0, 256, (1, 200, 200, 3), dtype=np.uint8)
for turn in range(350):
    if turn == 50:
        before = resident_mib()
    height, width = noise.integers(48, 200, 2)
    engine.run("face", {"pixels": np.ascontiguousarray(face[:, :height, :width])})
    if turn % 4:
        continue
    ids = np.full((1, 1 + turn // 4 % 16), 4, np.int32)
    engine.run("text", {"input_ids": ids, "attention_mask": np.ones_like(ids)})
    pcm = np.zeros((1 + turn // 4 % 8, 48_000), np.float32)
    engine.run("audio", {"pcm": pcm, "voice": np.zeros((1, 3, 64), np.float32)})
print(resident_mib() - before)
"""


def scaling_face_graph() -> onnx.ModelProto:
    """Scales pictures to 48 × 48 by two products of matrices, as a trained face encoder does."""
    g = tiny_bundle._Nodes()
    grey = g.op("ReduceMean", g.op("Cast", "pixels", to=TensorProto.FLOAT), g.axis(3), keepdims=0)
    target = g.constant(np.arange(48)[:, None] + 0.5)
    shares = []
    for axis in (1, 2):
        size = g.op("Squeeze", g.op("Shape", "pixels", start=axis, end=axis + 1))
        count = g.op("Cast", size, to=TensorProto.FLOAT)
        places = g.op("Range", g.constant(0), count, g.constant(1))
        distance = g.op("Abs", g.op("Sub", places, g.op("Mul", target, count)))
        shares.append(g.op("Div", distance, g.op("ReduceSum", distance, g.axis(1))))
    scaled = g.op("MatMul", shares[0], g.op("MatMul", grey, g.op("Transpose", shares[1])))
    flat = g.op("Reshape", scaled, g.constant([-1, 48 * 48], np.int64))
    g.op("Tanh", g.op("MatMul", flat, g.weights(48 * 48, 4)), named="features")
    kind = TensorProto.UINT8
    return g.model("face", tiny_bundle.FACE_INPUTS, tiny_bundle.FACE_OUTPUTS, kind)


@linux_only
@pytest.mark.parametrize("engine", ENGINES)
def test_memory_does_not_grow_with_the_sizes_of_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """It stays bounded over 300 turns of 300 sizes, for which OpenVINO would keep 240 MiB."""
    monkeypatch.setattr(tiny_bundle, "face_graph", scaling_face_graph)
    path = write_tiny_bundle(tmp_path / "tiny.dcet", target="openvino-cpu", engines=ENGINES)
    assert float(run(VARIED_SIZES, path, engine)) < 20


CORES = """
import os, sys
import numpy as np
from dcet.runtime import Bundle, Conversation

conversation = Conversation(Bundle.open(sys.argv[1]), sys.argv[2])
conversation.turn("Ann", "i am happy", np.zeros(48_000, np.float32) + 0.1)
print(*{cpu for task in os.listdir("/proc/self/task") for cpu in os.sched_getaffinity(int(task))})
"""


@linux_only
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cpu", sorted(os.sched_getaffinity(0))[:2])
def test_threads_stay_on_the_cores_of_the_process(
    tiny_openvino: Path, engine: str, cpu: int
) -> None:
    assert run(CORES, tiny_openvino, engine, cpus={cpu}).split() == [str(cpu)]


@linux_only
def test_cores_are_physical_and_the_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CPUs of one core count once, as where an engine counts by itself."""
    from dcet.runtime.engines import threads

    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    monkeypatch.setattr(threads, "_core_of", siblings.__getitem__)
    for cpus, cores in (({0, 1, 2, 3}, 2), ({0, 2}, 1), ({3}, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process, cpus=cpus: cpus)
        assert threads.usable_cores() == cores
        assert (threads.threads_of("text"), threads.threads_of("step")) == (cores, 1)


FORKED = """
import multiprocessing, os, sys
import numpy as np
from dcet.runtime import Bundle, Conversation, DcetError

bundle = Bundle.open(sys.argv[1])
conversation = Conversation(bundle, sys.argv[2])
turn = ("Ann", "i am happy", np.zeros(48_000 * 3, np.float32) + 0.1)
expected = conversation.turn(*turn).sentiment

def child():
    try:
        conversation.turn("Ben", "so sad")
    except DcetError as error:
        print(type(error).__name__, str(error).rpartition("; ")[2], flush=True)
    own = Conversation(bundle, sys.argv[2])
    print(own.turn(*turn).sentiment == expected, own.engine is bundle.engine(sys.argv[2]))
    sys.stdout.flush()

if sys.argv[3] == "os.fork":
    process = os.fork()
    if not process:
        child()
        sys.exit(7)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
else:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    status = process.exitcode
print(status, conversation.turn(*turn).turn)
"""


@linux_only
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("way", "status"), [("os.fork", "7"), ("multiprocessing", "0")])
def test_a_forked_child_is_told_at_once_and_can_open_its_own(
    tiny_openvino: Path, engine: str, way: str, status: str
) -> None:
    """Neither its turn nor its end waits for threads that are not there; the parent goes on."""
    lines = run(FORKED, tiny_openvino, engine, way).splitlines()
    assert lines[0].startswith("EngineError start processes by spawn")
    assert lines[1:] == ["True True", f"{status} 2"]


IMPORTED = """
import json, os, sys
before = dict(os.environ), {name for name in sys.modules if sys.modules[name] is None}
import dcet.runtime
after = dict(os.environ), {name for name in sys.modules if sys.modules[name] is None}
dcet.runtime.Bundle.open(sys.argv[1]).engine(sys.argv[2])
told = os.environ.get("ORT_DISABLE_TELEMETRY"), sys.modules.get("openvino_telemetry", "")
print(json.dumps([before == after, *told]))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_are_told_not_to_report_as_they_are_imported(
    tiny_openvino: Path, engine: str
) -> None:
    """And not earlier: importing the runtime changes nothing of its host's."""
    said: list[Any] = json.loads(run(IMPORTED, tiny_openvino, engine))
    assert said == [True, "1", None]


def test_the_host_s_own_choice_about_reports_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    bundle = write_tiny_bundle(tmp_path / "tiny.dcet")
    assert json.loads(run(IMPORTED, bundle, "onnxruntime"))[:2] == [True, "0"]
