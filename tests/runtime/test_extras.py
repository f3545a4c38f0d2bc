"""A missing package names its cure, and a broken one is not called missing."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dcet.runtime import Bundle, Conversation
from dcet.runtime.cli.command import Command
from dcet.runtime.engines.registry import open_engine
from dcet.runtime.errors import ConfigError, EngineError, MissingExtra
from dcet.runtime.extras import need


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let `package` be as if it were not installed."""

    class Hider:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hider, *sys.meta_path])
    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'dcet\[memory\]'") as raised:
        need("no_such_package_of_dcet", extra="memory")
    assert isinstance(raised.value, ImportError)


def test_a_broken_package_is_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text(
        "import no_such_package_of_dcet\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as raised:
        need("broken_package", extra="memory")
    assert not isinstance(raised.value, MissingExtra)


def test_an_engine_asked_for_by_name_never_falls_back(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "openvino")
    with pytest.raises(MissingExtra, match=r"openvino is not installed.*'dcet\[openvino\]'"):
        Conversation(Bundle.open(tiny), engine="openvino")


def test_auto_falls_to_the_next_engine_and_says_why(
    tiny_openvino: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "openvino")
    estimate = Conversation(Bundle.open(tiny_openvino)).turn("Ann", "i am happy")
    assert estimate.engine == "onnxruntime-cpu"
    assert "openvino is not installed; run: pip install" in estimate.engine_reason


def test_no_engine_at_all_names_every_reason(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dcet.runtime.engines.registry.ENGINES", {})
    with pytest.raises(
        EngineError, match="no engine of target cpu works here: onnxruntime: engine: "
    ):
        open_engine(bundle)


def test_an_unknown_engine_lists_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"one of tensorrt, .*, onnxruntime, got 'cuda'"):
        Conversation(bundle, engine="cuda")


def test_commands_show_one_line_and_exit_with_2() -> None:
    @click.command(cls=Command)
    def command() -> None:
        raise ConfigError("deadline_ms: expected a positive number, got -1")

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "Error: deadline_ms: expected a positive number, got -1\n"


def test_commands_tell_a_fault_of_ours_from_bad_input() -> None:
    @click.command(cls=Command)
    def command() -> None:
        raise ZeroDivisionError

    result = CliRunner().invoke(command)
    assert result.exit_code == 70
    assert result.stdout == ""
    assert "\nZeroDivisionError\nThis is a fault in DCET; " in result.stderr
