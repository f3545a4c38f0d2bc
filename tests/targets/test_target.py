"""Targets are data: each row is checked, and a wrong one names the file, the key and the cure."""

from dataclasses import fields
from pathlib import Path

import pytest

from dcet.runtime.errors import DcetError
from dcet.targets import Target, TargetError, UnknownTarget, list_targets, load_target
from dcet.targets.target import DEVICES

GOOD = {
    "name": '"my-board"',
    "description": '"A board"',
    "engines": '["openvino", "onnxruntime"]',
    "opset": "18",
    "ir_version": "10",
    "deadline_ms": "33.5",
    "openvino_ir": "true",
    "precision": '{text = "int8", audio = "fp16", face = "fp16", step = "fp32"}',
}


def write(folder: Path, **changes: str | None) -> Path:
    """Write a target file; a change to None leaves the key out."""
    rows = {key: value for key, value in (GOOD | changes).items() if value is not None}
    path = folder / "my-board.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in rows.items()))
    return path


def test_the_shipped_targets() -> None:
    cpu, openvino = list_targets()
    assert (cpu.name, cpu.engines, cpu.openvino_ir) == ("cpu", ("onnxruntime",), False)
    assert (openvino.name, openvino.openvino_ir) == ("openvino-cpu", True)
    assert openvino.engines == ("openvino", "onnxruntime")


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_target_is_found_by_the_name_in_its_file(path: Path) -> None:
    target = load_target(path.stem)
    assert target.name == path.stem
    # TensorRT 10.3, ONNX Runtime Web and OpenVINO all read these.
    assert (target.opset, target.ir_version) == (18, 10)


@pytest.mark.parametrize("as_type", [str, Path])
def test_a_target_of_your_own(tmp_path: Path, as_type: type) -> None:
    assert load_target(as_type(write(tmp_path))) == Target(
        name="my-board",
        description="A board",
        engines=("openvino", "onnxruntime"),
        opset=18,
        ir_version=10,
        deadline_ms=33.5,
        openvino_ir=True,
        precision={"text": "int8", "audio": "fp16", "face": "fp16", "step": "fp32"},
    )


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("openvino_cpu", "openvino-cpu?"), ("toaster", "cpu or openvino-cpu?")],
)
def test_an_unknown_name_gets_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownTarget) as caught:
        load_target(name)
    assert repr(name) in str(caught.value)
    assert suggestion in str(caught.value)


@pytest.mark.parametrize("key", [field.name for field in fields(Target)])
def test_every_key_is_needed(tmp_path: Path, key: str) -> None:
    path = write(tmp_path, **{key: None})
    with pytest.raises(TargetError, match=f"my-board.toml: {key} is missing"):
        load_target(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", '"../board"'),
        ("name", "7"),
        ("description", '""'),
        ("engines", "[]"),
        ("engines", '"openvino"'),
        ("engines", '["tensorflow"]'),
        ("engines", '[["openvino"]]'),
        ("engines", '["openvino", "openvino"]'),
        ("opset", "true"),
        ("opset", '"18"'),
        ("ir_version", "0"),
        ("deadline_ms", "-1"),
        ("deadline_ms", "nan"),
        ("deadline_ms", "inf"),
        ("deadline_ms", '"50 ms"'),
        ("openvino_ir", "1"),
        ("precision", '"fp32"'),
        ("precision", '{text = "fp32", step = "fp32"}'),
        ("precision", '{text = "fp32", audio = "fp32", face = "fp32", step = "fp8"}'),
        (
            "precision",
            '{text = "fp32", audio = "fp32", face = "fp32", step = "fp32", smell = "fp32"}',
        ),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, **{key: value})
    with pytest.raises(TargetError, match=rf"my-board.toml: {key}: expected .+, got .+; correct"):
        load_target(path)


def test_the_unit_is_part_of_the_key(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="deadline_s is not a key of a target; write deadline_ms"):
        load_target(write(tmp_path, deadline_s="0.05"))


def test_a_key_like_no_other_lists_the_keys(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"wheels is not a key.+remove it.+engines, opset"):
        load_target(write(tmp_path, wheels="4"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"none.toml: expected a target file.+No such file"):
        load_target(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = \n", "expected TOML.+line 1"), (b"name = '\xff'", "expected UTF-8, got byte 0xff")],
)
def test_a_file_that_is_not_toml(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(TargetError, match=f"broken.toml: {message}"):
        load_target(path)


def test_both_ways_to_catch_an_error() -> None:
    assert issubclass(UnknownTarget, TargetError)
    assert issubclass(TargetError, DcetError)
    assert issubclass(TargetError, ValueError)
