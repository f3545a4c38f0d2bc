"""Targets are data: each row is checked, and a wrong one names the file, the key and the cure."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from dcet.runtime.errors import DcetError
from dcet.targets import (
    Device,
    PowerMode,
    Target,
    TargetError,
    TensorrtRange,
    UnknownTarget,
    list_targets,
    load_target,
)
from dcet.targets.target import DEVICES

TENSORRT = '{min = "10.3", max = "10", jetpack = "6.2"}'
MODE = '{name = "MAXN", watts = 25, scale = 1}'

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
DEVICE = {
    "model": '"Board 2"',
    "memory_bytes": "8_000_000_000",
    "bandwidth_gb_per_s": "102",
    "peak_int8_tops": "33",
    "peak_fp16_tflops": "17",
    "peak_fp32_tflops": "2.1",
    "power_modes": f"[{MODE}]",
    "source": '"https://example.org/board.pdf"',
    "estimated": '["peak_fp32_tflops"]',
}
REQUIRED = [field.name for field in fields(Target) if field.default is MISSING]


def write(folder: Path, **changes: str | None) -> Path:
    """Write a target file; a change to None leaves the key out."""
    rows = {key: value for key, value in (GOOD | changes).items() if value is not None}
    path = folder / "my-board.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in rows.items()), encoding="utf-8")
    return path


def device(**changes: str | None) -> str:
    """The table of a device as one line."""
    rows = {key: value for key, value in (DEVICE | changes).items() if value is not None}
    return f"{{{', '.join(f'{key} = {value}' for key, value in rows.items())}}}"


def test_the_shipped_targets() -> None:
    orders = {target.name: target.engines for target in list_targets()}
    jetson = ("tensorrt", "onnxruntime-cuda", "onnxruntime")
    assert orders == {
        "cpu": ("onnxruntime",),
        "desktop-cuda": (
            *("tensorrt", "torch-tensorrt", "onnxruntime-cuda", "torch-cuda"),
            *("openvino", "onnxruntime"),
        ),
        "jetson-agx-orin": jetson,
        "jetson-orin-nano": jetson,
        "jetson-thor": jetson,
        "openvino-cpu": ("openvino", "onnxruntime"),
        "openvino-gpu": ("openvino-gpu", "openvino", "onnxruntime"),
        "openvino-npu": ("openvino-npu", "openvino", "onnxruntime"),
        "portable": ("openvino", "onnxruntime"),
        "triton": ("onnxruntime-cuda", "onnxruntime"),
        "web": ("onnxruntime",),
    }
    # Whatever else fails, every machine has this one.
    assert {engines[-1] for engines in orders.values()} == {"onnxruntime"}


def test_the_name_of_a_family_stands_for_its_default() -> None:
    assert load_target("jetson") == load_target("jetson-orin-nano")
    defaults = [target.family for target in list_targets() if target.is_family_default]
    families = {target.family for target in list_targets()} - {None}
    assert sorted(filter(None, defaults)) == sorted(filter(None, families)) == ["jetson"]
    assert not {target.name for target in list_targets()} & families


@pytest.mark.parametrize("path", sorted(DEVICES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_target_is_found_by_the_name_in_its_file(path: Path) -> None:
    target = load_target(path.stem)
    assert target.name == path.stem
    # TensorRT 10.3, ONNX Runtime Web and OpenVINO all read these.
    assert (target.opset, target.ir_version) == (18, 10)
    assert ("tensorrt" in target.engines) == (target.tensorrt is not None)
    if target.device is not None:
        assert target.device.power_modes[0].scale == 1
        watts = [mode.watts for mode in target.device.power_modes]
        assert watts == sorted(watts, reverse=True)
        assert target.device.peak_int8_tops >= target.device.peak_fp16_tflops
        assert target.device.peak_fp16_tflops >= target.device.peak_fp32_tflops


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


def test_a_device_of_your_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        engines='["tensorrt", "onnxruntime"]',
        tensorrt=TENSORRT,
        family='"boards"',
        is_family_default="true",
        arithmetic='"fp16"',
        quantizer='"nncf"',
        device=device(),
    )
    target = load_target(path)
    assert (target.family, target.is_family_default) == ("boards", True)
    assert (target.arithmetic, target.quantizer, target.layout) == ("fp16", "nncf", "bundle")
    assert target.tensorrt == TensorrtRange(min="10.3", max="10", jetpack="6.2")
    assert target.device == Device(
        model="Board 2",
        memory_bytes=8_000_000_000,
        bandwidth_gb_per_s=102,
        peak_int8_tops=33,
        peak_fp16_tflops=17,
        peak_fp32_tflops=2.1,
        power_modes=(PowerMode(name="MAXN", watts=25, scale=1),),
        source="https://example.org/board.pdf",
        estimated=("peak_fp32_tflops",),
    )


@pytest.mark.parametrize(
    ("version", "is_in"),
    [("10.2", False), ("10.3", True), ("10.3.0.30", True), ("10.14", True), ("11.0", False)],
)
def test_a_range_takes_every_version_from_its_least_to_its_most(version: str, is_in: bool) -> None:
    assert TensorrtRange(min="10.3", max="10").admits(version) == is_in


def test_a_range_knows_its_major_versions() -> None:
    assert TensorrtRange(min="10.3", max="10").majors == (10,)
    assert TensorrtRange(min="10.13", max="11.5").majors == (10, 11)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("openvino_cpu", "openvino-cpu,"),
        ("jetsen", "jetson"),
        ("jetson-orin", "jetson-agx-orin"),
        ("toaster", "cpu, desktop-cuda, jetson, jetson-agx-orin"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownTarget) as caught:
        load_target(name)
    assert repr(name) in str(caught.value)
    assert suggestion in str(caught.value)


@pytest.mark.parametrize("key", REQUIRED)
def test_every_key_without_a_default_is_needed(tmp_path: Path, key: str) -> None:
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
        ("family", '"Jetson"'),
        ("is_family_default", '"yes"'),
        ("arithmetic", '"bf16"'),
        ("arithmetic", '["fp16"]'),
        ("quantizer", '"modelopt"'),
        ("layout", '"zip"'),
        ("tensorrt", '"10.3"'),
        ("device", '"a board"'),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, **{key: value})
    with pytest.raises(TargetError, match=rf"my-board.toml: {key}: expected .+, got .+; correct"):
        load_target(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min", "10.3"),
        ("min", '"ten"'),
        ("max", '"10.x"'),
        ("jetpack", "6.2"),
    ],
)
def test_a_wrong_range_is_named(tmp_path: Path, key: str, value: str) -> None:
    rows = {"min": '"10.3"', "max": '"11"', key: value}
    table = f"{{{', '.join(f'{name} = {row}' for name, row in rows.items())}}}"
    path = write(tmp_path, engines='["tensorrt"]', tensorrt=table)
    with pytest.raises(TargetError, match=rf"toml: tensorrt\.{key}: expected .+, got .+; correct"):
        load_target(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", '""'),
        ("memory_bytes", "8.5"),
        ("memory_bytes", '"8 GB"'),
        ("bandwidth_gb_per_s", "0"),
        ("peak_int8_tops", "true"),
        ("peak_fp16_tflops", "inf"),
        ("peak_fp32_tflops", "-2"),
        ("power_modes", "[]"),
        ("power_modes", '["15W"]'),
        ("power_modes.watts", '[{name = "15W", watts = "15 W", scale = 1}]'),
        ("power_modes.scale", '[{name = "15W", watts = 15, scale = 60}]'),
        ("source", '"a friend"'),
        ("estimated", '["weight"]'),
        ("estimated", '["peak_int8_tops", "peak_int8_tops"]'),
    ],
)
def test_a_wrong_figure_is_named(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path, device=device(**{key.partition(".")[0]: value}))
    with pytest.raises(TargetError, match=rf"toml: device\.{key}: expected .+, got .+; correct"):
        load_target(path)


def test_a_missing_figure_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, device=device(memory_bytes=None))
    with pytest.raises(TargetError, match=r"device\.memory_bytes is missing; add it.+of bytes"):
        load_target(path)


def test_a_figure_in_another_unit_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, device=device(bandwidth_gb_s="102"))
    message = (
        r"device\.bandwidth_gb_s is not a key of the table \[device\]; write bandwidth_gb_per_s"
    )
    with pytest.raises(TargetError, match=message):
        load_target(path)


@pytest.mark.parametrize(
    "changes", [{"engines": '["tensorrt"]'}, {"tensorrt": TENSORRT}], ids=["engine", "table"]
)
def test_tensorrt_needs_its_range(tmp_path: Path, changes: dict[str, str]) -> None:
    with pytest.raises(TargetError, match=r"the engine tensorrt and the table \[tensorrt\] toget"):
        load_target(write(tmp_path, **changes))


def test_the_default_of_no_family(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="family is missing, but is_family_default is true"):
        load_target(write(tmp_path, is_family_default="true"))


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
