"""`dcet-export` as it is typed."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner, Result

import dcet.export.exporter
import dcet.quantization.fp16
from dcet.export.cli import main
from dcet.export.graphs import ExportError
from dcet.export.openvino_ir import REST
from dcet.runtime import Bundle, Conversation
from dcet.targets import list_targets
from dcet.targets.target import DEVICES


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def message(result: Result) -> str:
    """The one line that says what is wrong."""
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_help_has_an_example() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "dcet-export --target" in result.output.partition("Examples:")[2]


def test_targets_are_listed_for_people_and_machines() -> None:
    names = [target.name for target in list_targets()]
    assert {"cpu", "openvino-cpu"} <= set(names)
    shown = run("--list-targets")
    assert shown.exit_code == 0
    assert all(f"{name}: " in shown.stdout or f"{name}, and " in shown.stdout for name in names)
    assert "jetson-orin-nano, and jetson: Jetson Orin Nano 8 GB" in shown.stdout
    assert "TensorRT   10.3 to 10.x, of JetPack 6.2" in shown.stdout
    assert "GB/s, INT8 33 TOPS, FP16 17 TFLOPS, FP32 2.09 TFLOPS (estimated)" in shown.stdout
    listed = json.loads(run("--list-targets", "--json").stdout)
    assert list(listed) == names
    jetson = listed["jetson-orin-nano"]
    assert jetson["engines"][0] == "tensorrt"
    assert jetson["device"]["power_modes"][0] == {"name": "MAXN_SUPER", "watts": 25, "scale": 1}


@pytest.mark.usefixtures("traced")
def test_a_bundle_is_written_and_its_parity_shown(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "companion.dcet"
    options = ("--checkpoint", folder, "--precision", "fp32", "--output", output, "--json")
    result = run("--target", "cpu", *options)
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["bundle"] == str(output)
    assert shown["size_bytes"] == output.stat().st_size
    assert set(shown["parity"]) == {"onnxruntime-cpu", "openvino-cpu"}
    assert max(shown["parity"].values()) <= 1e-4
    files = Bundle.open(output).manifest.files
    assert shown["graphs"] == {
        id: {"precision": "fp32", "size_bytes": files[f"graphs/{id}.fp32.onnx"].size_bytes}
        for id in ("text", "audio", "face", "speech", "step")
    }
    assert Bundle.open(output).manifest.name == "tiny"
    assert Conversation(Bundle.open(output)).turn("Ada", "so happy").turn == 1


@pytest.mark.usefixtures("traced")
def test_the_name_is_that_of_checkpoint_and_target(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)  # these weights are tiny
    result = run("--target", "web", "--checkpoint", folder)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-web.dcet"]
    assert "tiny-web.dcet" in result.stdout
    assert "onnxruntime-cpu: largest difference from torch" in result.stdout


@pytest.mark.usefixtures("traced")
def test_a_precision_overrides_the_targets(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)  # these weights are tiny
    result = run("--target", "cpu", "--checkpoint", folder, "--precision", "fp16")
    assert result.exit_code == 0, result.output
    bundle = Bundle.open(tmp_path / "tiny-cpu-fp16.dcet")
    assert {graph.precision for graph in bundle.manifest.graphs.values()} == {"fp16"}
    assert re.search(r"graph audio: 0\.\d MB, fp16", result.stdout)


def test_several_targets_share_what_is_equal(
    folder: Path,
    tmp_path: Path,
    graphs: dict[str, onnx.ModelProto],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced, output = [], tmp_path / "all" / "bundles"

    def export_graphs(*arguments: object) -> dict[str, onnx.ModelProto]:
        traced.append(arguments)
        return graphs

    monkeypatch.setattr(dcet.export.exporter, "export_graphs", export_graphs)
    targets = [word for name in ("cpu", "openvino-cpu", "cpu") for word in ("--target", name)]
    options = ("--checkpoint", folder, "--precision", "fp32", "--output", output, "--json")
    result = run(*targets, *options)
    assert result.exit_code == 0, result.output
    assert len(traced) == 1
    names = ["tiny-cpu-fp32.dcet", "tiny-openvino-cpu-fp32.dcet"]
    assert sorted(path.name for path in output.iterdir()) == names
    shown = json.loads(result.stdout)
    assert [row["bundle"] for row in shown] == [str(output / name) for name in names]
    one, other = (Bundle.open(output / name) for name in names)
    assert (one.manifest.target, other.manifest.target) == ("cpu", "openvino-cpu")
    files, others = one.manifest.files, other.manifest.files
    differing = {file for file in files if files[file] != others.get(file)}
    assert differing <= {graph.file for graph in one.manifest.graphs.values()}
    for file in differing:  # OpenVINO's constants lie behind what is equal
        alone, extended = (onnx.load_from_string(bundle.read(file)) for bundle in (one, other))
        assert extended.graph.initializer.pop().name == REST
        assert alone == extended


def test_one_target_goes_into_a_file_and_several_into_a_folder(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    one = ("--target", "cpu", "--checkpoint", folder, "--output")
    assert f"expected a file, {tmp_path} is a folder" in message(run(*one, tmp_path))
    for place in (tmp_path / "file", tmp_path / "file" / "x"):
        line = message(run("--target", "web", *one, place))
        assert f"for 2 targets: expected a folder, {tmp_path / 'file'} is a file" in line


@pytest.mark.usefixtures("traced")
def test_warnings_are_shown_and_kept(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(dcet.quantization.fp16, "MIN_ELEMENTS", 64)  # these weights are tiny
    target = tmp_path / "board.toml"
    shipped = (DEVICES / "cpu.toml").read_text(encoding="utf-8").replace("[", '["tensorrt", ', 1)
    target.write_text(
        shipped.replace("fp32", "fp16") + '\n[tensorrt]\nmin = "10.3"\nmax = "10"\n',
        encoding="utf-8",
    )
    output = tmp_path / "it.dcet"
    result = run("--target", target, "--checkpoint", folder, "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("warning: graph") == 5  # a graph each
    assert "TensorRT multiplies them: it is strongly typed" in result.stdout
    finalize = Bundle.open(output).manifest.finalize
    assert finalize is not None
    assert finalize.tensorrt is not None
    assert len(finalize.tensorrt.warnings) == 5  # a graph each


def test_a_precision_that_cannot_be_made_is_a_usage_error(folder: Path) -> None:
    assert "int4" in message(run("--target", "cpu", "--checkpoint", folder, "--precision", "int4"))


def test_an_unknown_target_names_the_nearest(folder: Path) -> None:
    line = message(run("--target", "openvino", "--checkpoint", folder))
    assert "there is no target 'openvino'; did you mean openvino-" in line


def test_no_target_is_a_usage_error() -> None:
    assert "--list-targets" in message(run())


def test_a_bad_checkpoint_is_named(tmp_path: Path) -> None:
    line = message(run("--target", "cpu", "--checkpoint", tmp_path / "none"))
    assert f"{tmp_path / 'none'}: not a checkpoint" in line


def test_a_folder_that_is_not_there_is_named_before_any_work(tmp_path: Path) -> None:
    options = ("--checkpoint", "nowhere", "--output", tmp_path / "no" / "it.dcet")
    line = message(run("--target", "cpu", *options))
    assert f"there is no folder {tmp_path / 'no'}; make it first" in line


@pytest.mark.parametrize("package", ["torch", "transformers", "onnx", "onnxscript", "openvino"])
def test_a_missing_extra_names_its_cure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    output = tmp_path / "it.dcet"
    line = message(run("--target", "cpu", "--checkpoint", folder, "--output", output))
    assert f"{package} is not installed; run: pip install 'dcet[export]'" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("traced")
def test_a_failed_check_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_: object) -> None:
        raise ExportError("onnxruntime-cpu: golden sequence 'plain': too far")

    monkeypatch.setattr(dcet.export.exporter, "measure", measure)
    output = tmp_path / "it.dcet"
    options = ("--checkpoint", folder, "--precision", "fp32", "--output", output)
    line = message(run("--target", "cpu", *options))
    assert "golden sequence 'plain'" in line
    assert not list(tmp_path.iterdir())


def test_a_model_of_no_name_is_none_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `--model "$UNSET"` gives it."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--target", "cpu", "--model", ""])
    assert result.exit_code == 2
    assert "expected `default` or `large`, which ship with DCET" in result.output
    assert not list(tmp_path.iterdir())
