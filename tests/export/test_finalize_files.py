"""The lines that build TensorRT engines, word for word, and the shapes that they are built for."""

import os
import subprocess
from pathlib import Path

import pytest

from dcet.export.finalize_files import profiles, script, tensorrt_build
from dcet.runtime.bundle.manifest import Graph, Modality, Profile, Tensor
from dcet.targets import TensorrtRange

GOLDEN = Path(__file__).with_name("finalize")


def graph(id: str, precision: str, **inputs: tuple[int | str, ...]) -> Graph:
    return Graph(
        file=f"graphs/{id}.{precision}.onnx",
        precision=precision,
        opset=18,
        ir_version=10,
        qdq_count=0,
        inputs=tuple(
            Tensor(name=name, dtype="float32", shape=shape) for name, shape in inputs.items()
        ),
        outputs=(),
    )


GRAPHS = {
    "text": graph("text", "int8", input_ids=(1, "tokens"), attention_mask=(1, "tokens")),
    "audio": graph("audio", "int8", pcm=("windows", 48_000), voice=(1, 3, 64)),
    "face": graph("face", "int8", pixels=("faces", "height", "width", 3)),
    "step": graph("step", "fp16", text=(1, 312)),
}
MODALITIES = {
    name: Modality(input=name, width=4, length=length, trained=True)
    for name, length in (("text", None), ("audio", 8), ("face", 6))
}


def test_profiles_run_from_the_smallest_turn_to_the_largest() -> None:
    tokens = Profile(min=(1, 1), opt=(1, 32), max=(1, 128))
    assert profiles(GRAPHS, MODALITIES, 128) == {
        "text": {"input_ids": tokens, "attention_mask": tokens},
        "audio": {"pcm": Profile(min=(1, 48_000), opt=(1, 48_000), max=(8, 48_000))},
        "face": {"pixels": Profile(min=(1, 12, 12, 3), opt=(6, 96, 96, 3), max=(6, 192, 192, 3))},
        "step": {},
    }


def test_a_short_text_is_the_usual_one() -> None:
    found = profiles(GRAPHS, MODALITIES, 9)["text"]["input_ids"]
    assert found == Profile(min=(1, 1), opt=(1, 9), max=(1, 9))


def test_a_dimension_that_nobody_knows_has_no_profile() -> None:
    odd = {"smell": graph("smell", "fp32", air=(1, "molecules"))}
    assert profiles(odd, MODALITIES, 128) == {"smell": {}}


@pytest.mark.parametrize("major", [10, 11])
def test_the_lines_are_those_that_were_agreed_on(major: int) -> None:
    made = script(GRAPHS, profiles(GRAPHS, MODALITIES, 128), major)
    assert made == (GOLDEN / f"tensorrt-{major}.sh").read_text(encoding="utf-8")
    # TensorRT 11 has none of these; before it, they would override the types in the graph.
    assert not [flag for flag in ("--fp16", "--int8", "--best", "--calib") if flag in made]


def test_there_is_a_script_for_each_major_version() -> None:
    build, files = tensorrt_build(
        TensorrtRange(min="10.13", max="11"), {}, GRAPHS, MODALITIES, max_tokens=128
    )
    assert (build.min, build.max) == ("10.13", "11")
    assert build.scripts == {major: f"finalize/tensorrt-{major}.sh" for major in ("10", "11")}
    assert set(files) == set(build.scripts.values())


def test_the_script_runs_where_a_bundle_was_unpacked(tmp_path: Path) -> None:
    """A stand-in for trtexec notes its arguments."""
    tool, bundle = tmp_path / "bin" / "trtexec", tmp_path / "a bundle"
    for folder in (tool.parent, bundle / "finalize", bundle / "graphs"):
        folder.mkdir(parents=True)
    tool.write_text('#!/bin/sh\nfor word in "$@"; do echo "$PWD: $word"; done\n', encoding="utf-8")
    tool.chmod(0o755)
    _, files = tensorrt_build(TensorrtRange(min="10.3", max="10"), {}, GRAPHS, MODALITIES, 128)
    ((name, text),) = files.items()
    (bundle / name).write_bytes(text)
    ran = subprocess.run(
        ["sh", f"a bundle/{name}", "my engines"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    words = ran.stdout.splitlines()
    assert words[0] == f"{bundle}: --onnx=graphs/text.int8.onnx"
    assert words[1] == f"{bundle}: --saveEngine={tmp_path / 'my engines'}/text.plan"
    assert sum("--saveEngine" in word for word in words) == len(GRAPHS)
    assert sum(word.endswith("--stronglyTyped") for word in words) == len(GRAPHS)
