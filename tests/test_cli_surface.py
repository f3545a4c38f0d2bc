"""The common surface of all commands: help, versions, exit codes, outputs, encodings, signals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import dcet.benchmarks.cli
import dcet.demo.__main__
import dcet.dvcea.cli
import dcet.export.cli
import dcet.finalize.cli
import dcet.live.cli
import dcet.live.faces_cli
import dcet.training.cli
from dcet.benchmarks.reports import read_report
from dcet.runtime.cli.command import EXIT_CODES, Command
from dcet.runtime.cli.output import output_text, show_status
from dcet.runtime.cli.paths import OutputFile, OutputFolder
from dcet.runtime.files import write_json

MAINS = {
    "dcet-bench": dcet.benchmarks.cli.main,
    "dcet-dvcea": dcet.dvcea.cli.main,
    "dcet-export": dcet.export.cli.main,
    "dcet-faces": dcet.live.faces_cli.main,
    "dcet-live": dcet.live.cli.main,
    "dcet-finalize": dcet.finalize.cli.main,
    "dcet-train": dcet.training.cli.main,
    "python -m dcet.demo": dcet.demo.__main__.main,
}


def commands() -> Iterator[tuple[str, click.Command]]:
    """All commands and subcommands, by what people type."""
    for name, main in MAINS.items():
        yield name, main
        if isinstance(main, click.Group):
            yield from ((f"{name} {sub}", command) for sub, command in main.commands.items())


COMMANDS = dict(commands())


def options(*kinds: type) -> list[tuple[str, str]]:
    """Every option of these types, with its command."""
    return [
        (name, param.opts[0])
        for name, command in COMMANDS.items()
        for param in command.params
        if isinstance(param, click.Option) and isinstance(param.type, kinds)
    ]


def run(name: str, *arguments: object, encoding: str = "utf-8") -> Result:
    """Run a command in this process."""
    main = next(main for main in MAINS if name.startswith(main))
    words = name.removeprefix(main).split()
    return CliRunner(charset=encoding).invoke(MAINS[main], [*words, *map(str, arguments)])


def start(name: str, *arguments: object, **settings: Any) -> "subprocess.Popen[bytes]":
    """Start a command in a process of its own."""
    main = next(main for main in MAINS if name.startswith(main))
    words = [*name.removeprefix(main).split(), *map(str, arguments)]
    return subprocess.Popen([sys.executable, "-c", script(main), *words], **settings)


def script(main: str) -> str:
    """Return the program of an installed command."""
    return f"from {MAINS[main].callback.__module__} import main; main(prog_name={main!r})"


def message(result: Result) -> str:
    """The one line that says what is wrong with the command line."""
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    return line


def required(name: str) -> list[str]:
    """Arguments and options that a command asks for, none of which is looked into."""
    found: list[str] = []
    for param in COMMANDS[name].params:
        if param.required:
            choices = getattr(param.type, "choices", ("1",))
            value = os.devnull if isinstance(param.type, OutputFile) else str(choices[0])
            if isinstance(param.type, click.Path) and param.type.exists:
                value = "." if param.type.dir_okay else __file__
            found += [param.opts[0], value] if isinstance(param, click.Option) else [value]
    return found


REPORT = {
    "schema": "dcet-bench/accuracy/1",
    "corpus": "meld",
    "n": 1,
    **dict.fromkeys(("weighted_f1", "macro_f1", "accuracy", "ece", "nll"), 0.5),
    "sentiment": {"ccc": 0.5, "mae": 0.5},
    "shift": {"f1": 0.5, "average_precision": 0.5},
    "bundle": {"sha256": "0"},
    "engine": {"name": "onnxruntime-cpu"},
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT), encoding="utf-8")
    read_report(path)
    return path


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_has_an_example_and_the_exit_codes(name: str, option: str) -> None:
    result = run(name, option)
    assert result.exit_code == 0
    assert name in result.output.partition("Example")[2]
    assert " ".join(EXIT_CODES.split()) in " ".join(result.output.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_version(name: str) -> None:
    result = run(name, "--version")
    assert result.exit_code == 0
    assert result.output.split()[-1].startswith("0.")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    unexplained = [
        param.opts[0]
        for param in COMMANDS[name].params
        if isinstance(param, click.Option) and not param.help
    ]
    assert unexplained == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(("name", "option"), options(click.types.FloatParamType))
def test_no_number_is_nan_or_infinite(name: str, option: str, value: str) -> None:
    assert option in message(run(name, *required(name), option, value))


@pytest.mark.parametrize("value", ["-1", "4294967296"])
@pytest.mark.parametrize(
    ("name", "option"),
    [pair for pair in options(click.types.IntParamType) if pair[1] == "--seed"],
)
def test_a_seed_is_one_that_all_generators_take(name: str, option: str, value: str) -> None:
    assert "'--seed'" in message(run(name, *required(name), option, value))


@pytest.mark.parametrize(
    ("name", "option"),
    [pair for pair in options(click.types.IntParamType) if pair[1] != "--vocabulary"],
)
def test_no_count_is_negative(name: str, option: str) -> None:
    assert f"'{option}'" in message(run(name, *required(name), option, "-1"))


@pytest.mark.parametrize(("name", "option"), options(OutputFile, OutputFolder))
def test_outputs_are_looked_at_before_any_work(name: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (param,) = (p for p in COMMANDS[name].params if p.opts[0] == option)
    line = message(run(name, *required(name), option, tmp_path / "file" / "x"))
    assert option in line
    if isinstance(param.type, OutputFile):
        assert "there is no folder" in message(run(name, *required(name), option, "nowhere/x"))
        assert "is a directory" in message(run(name, *required(name), option, tmp_path)) or (
            "is a folder" in message(run(name, *required(name), option, tmp_path))
        )
    else:
        assert "is a file" in message(run(name, *required(name), option, tmp_path / "file"))


@pytest.mark.parametrize("name", ["dcet-train select", "dcet-train calibrate", "dcet-train turns"])
def test_a_folder_of_other_things_is_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    line = message(run(name, *required(name), "--output", tmp_path))
    assert "holds other files" in line
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_of_other_things_is_no_place_for_a_repository(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    line = message(run("dcet-export", "--target", "triton", "--output", tmp_path))
    assert "holds other files" in line


def test_an_output_does_not_take_the_place_of_an_input(report: Path, tmp_path: Path) -> None:
    before = report.read_bytes()
    other = tmp_path / "other.json"
    other.write_bytes(before)
    link = tmp_path / "link.json"
    link.symlink_to(report)
    for output in (report, link, tmp_path / "." / report.name):
        line = message(run("dcet-bench compare", report, other, "--json", output))
        assert f"take the place of {report}, which is read as BEFORE" in line
    assert report.read_bytes() == before


def test_a_bundle_does_not_take_the_place_of_its_checkpoint_or_target(tmp_path: Path) -> None:
    target = tmp_path / "board.toml"
    shipped = files("dcet.targets") / "devices" / "cpu.toml"
    target.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    line = message(run("dcet-export", "--target", target, "--output", target))
    assert f"take the place of {target}, which is read" in line


def test_a_replaced_folder_holds_no_input(tmp_path: Path) -> None:
    """`select runs/a --output runs` would replace all runs by one."""
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "runs" / "config.json").touch()
    meld = ["--meld", tmp_path]
    output = ["--output", tmp_path / "runs"]
    line = message(run("dcet-train select", tmp_path / "runs" / "a", *meld, *output))
    assert "which is read as RUNS" in line


def test_two_outputs_have_two_places(tmp_path: Path) -> None:
    for place in (tmp_path / "x", "-"):
        line = message(run("dcet-bench latency", "none", "--json", place, "--html", place))
        assert "expected two places" in line
    result = run("dcet-bench latency", "none", "--json", os.devnull, "--html", os.devnull)
    assert "there is nothing" in message(result)  # of the bundle


def test_json_is_alone_on_standard_output(report: Path, tmp_path: Path) -> None:
    for option in (["--json", "-"], ["--json"], ["--json=-"]):
        result = run("dcet-bench compare", report, report, *option)
        assert result.exit_code == 0
        assert json.loads(result.stdout)["regressed"] is False
        assert "weighted_f1" in result.stderr  # the table
    result = run("dcet-bench compare", report, report, "--json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["regressed"] is False
    assert "weighted_f1" in result.stdout
    for option in (["--json", "-"], ["--json"]):
        assert "cpu" in json.loads(run("dcet-export", "--list-targets", *option).stdout)
    with (tmp_path / "stdout").open("wb") as file:  # the file that standard output goes to
        start("dcet-export", "--list-targets", "--json", tmp_path / "stdout", stdout=file).wait()
    assert "cpu" in json.loads((tmp_path / "stdout").read_text(encoding="utf-8"))


def test_a_bundle_taken_for_the_file_of_json_is_named() -> None:
    line = message(run("dcet-finalize", "--json", "my.dcet"))
    assert line == (
        "Error: Missing argument 'BUNDLE'. "
        "my.dcet was taken for the file of --json, which goes last"
    )


def test_text_and_what_is_being_done_go_where_they_should(tmp_path: Path) -> None:
    @click.command(cls=Command)
    @click.option("--html", type=OutputFile(stdout=True))
    def command(html: Path) -> None:
        with show_status() as status:
            status("graphs of [audio]")
        output_text(html, "<p>Zoë</p>")

    for arguments in (["--html", "-"], ["--html", str(tmp_path / "x.html")]):
        result = CliRunner(charset="cp1252").invoke(command, arguments)
        assert result.stderr == "graphs of [audio]\n"
        written = result.stdout_bytes or (tmp_path / "x.html").read_bytes()
        assert written.decode().rstrip() == "<p>Zoë</p>"


@pytest.mark.parametrize("place", ["-", "page.html"])
def test_a_name_that_is_not_utf_8_is_written_as_an_escape(tmp_path: Path, place: str) -> None:
    path = Path(place) if place == "-" else tmp_path / place
    name = os.fsdecode(b"b\xff.dcet")

    @click.command(cls=Command)
    def command() -> None:
        output_text(path, f"<p>{name}</p>")

    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0
    written = result.stdout_bytes if place == "-" else path.read_bytes()
    assert written.rstrip() == rb"<p>b\udcff.dcet</p>"


def test_exit_codes_tell_a_regression_from_other_ends(report: Path, tmp_path: Path) -> None:
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps({**REPORT, "weighted_f1": 0.4}), encoding="utf-8")
    assert run("dcet-bench compare", report, report).exit_code == 0
    assert run("dcet-bench compare", worse, report).exit_code == 0
    assert run("dcet-bench compare", report, worse).exit_code == 1
    assert run("dcet-bench compare", report, tmp_path / "none").exit_code == 2


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"schema": NaN}', '{"a": 1e999}', "[1", "\xff", '{"schema": []}', ""],
)
def test_a_report_that_is_none_is_named(report: Path, tmp_path: Path, text: str) -> None:
    broken = tmp_path / "broken.json"
    broken.write_bytes(text.encode("latin-1"))
    assert f"Error: {broken}: expected " in message(run("dcet-bench compare", report, broken))


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "latin-1"])
def test_every_encoding_of_standard_output_will_do(encoding: str, report: Path) -> None:
    result = run("dcet-export", "--list-targets", encoding=encoding)
    assert result.exit_code == 0
    assert b"engines    tensorrt > torch-tensorrt > onnxruntime-cuda" in result.stdout_bytes
    result = run("dcet-bench compare", report, report, encoding=encoding)
    assert result.exit_code == 0
    assert b"weighted_f1" in result.stdout_bytes
    assert b"\\u" not in result.stdout_bytes  # tables are drawn with what the encoding has


def test_a_file_in_another_encoding_will_do(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    with (tmp_path / "targets").open("wb") as file:
        process = start("dcet-export", "--list-targets", env=environment, stdout=file)
        assert process.wait() == 0
    assert " > onnxruntime" in (tmp_path / "targets").read_text(encoding="cp1252")


needs_devices = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@needs_devices
@pytest.mark.parametrize("name", ["dcet-finalize", "python -m dcet.demo"])
def test_a_full_standard_output_is_said(name: str) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(name, "--help", stdout=full, stderr=subprocess.PIPE)
        _, errors = process.communicate()
    assert errors == b"Error: could not write to standard output: No space left on device\n"
    assert process.returncode == 2


@needs_devices
def test_a_full_standard_output_is_said_of_much_text_and_of_tables(report: Path) -> None:
    for name, *arguments in (
        ("dcet-export", "--list-targets"),
        ("dcet-bench compare", str(report), str(report)),
    ):
        with Path("/dev/full").open("wb") as full:
            process = start(name, *arguments, stdout=full, stderr=subprocess.PIPE)
            _, errors = process.communicate()
        assert b"Error: could not write to standard output: No space left on device\n" in errors
        assert b"Traceback" not in errors
        assert process.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGPIPE")
def test_a_reader_that_goes_ends_the_command_quietly(report: Path) -> None:
    for name, *arguments in (
        ("dcet-train", "--help"),
        ("dcet-export", "--list-targets"),
        ("dcet-bench compare", str(report), str(report)),
    ):
        read, write = os.pipe()
        os.close(read)
        process = start(name, *arguments, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        _, errors = process.communicate()
        assert errors == b"" or b"weighted_f1" in errors
        assert process.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize("name", ["dcet-export", "dcet-train"])
def test_a_closed_standard_output_is_said_at_once(name: str) -> None:
    command = ["/bin/sh", "-c", 'exec "$0" -c "$1" --help >&-', sys.executable, script(name)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.stderr == b"Error: standard output is closed; send it to a file or /dev/null\n"
    assert done.returncode == 2


WRITER = """
import sys, time
import click
from pathlib import Path
from dcet.runtime.cli.command import Command
from dcet.runtime.files import atomic_folder, atomic_path

@click.command(cls=Command)
def main():
    with atomic_path(sys.argv[1]) as file, atomic_folder(Path(sys.argv[2])) as folder:
        file.write_bytes(bytes(1000))
        (folder / "x").write_bytes(bytes(1000))
        print("writing", flush=True)
        time.sleep(60)

main([])
"""


@pytest.fixture
def writing(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that is in the middle of writing a file and a folder."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file"), str(tmp_path / "folder")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_leaves_nothing_behind(
    writing: "subprocess.Popen[bytes]", tmp_path: Path, number: int, code: int
) -> None:
    assert len(list(tmp_path.iterdir())) == 2
    writing.send_signal(number)
    _, errors = writing.communicate(timeout=10)
    assert errors == b""
    assert writing.returncode == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
def test_what_a_killed_command_left_goes_with_the_next(
    writing: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    write_json(tmp_path / "while", {})  # what is being written stays
    assert len(list(tmp_path.iterdir())) == 3
    writing.kill()
    writing.wait()
    write_json(tmp_path / "after", {})
    assert {path.name for path in tmp_path.iterdir()} == {"while", "after"}
