"""`dcet-bench`: latency, accuracy, memory, robustness, room, live, peers, predictions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
from rich.console import Console

from dcet.benchmarks.accuracy.measure import measure_accuracy
from dcet.benchmarks.accuracy.page import render_accuracy
from dcet.benchmarks.accuracy.table import print_accuracy
from dcet.benchmarks.compare import compare_reports, print_comparison
from dcet.benchmarks.comparison import LATENCY_TOLERANCE
from dcet.benchmarks.figures import render_figures
from dcet.benchmarks.latency.measure import LatencySettings, measure_latency
from dcet.benchmarks.latency.page import render_page
from dcet.benchmarks.latency.table import print_latency
from dcet.benchmarks.live.measure import PARTS, LiveSettings, measure_live
from dcet.benchmarks.live.page import render_live
from dcet.benchmarks.live.table import print_live
from dcet.benchmarks.memory.measure import MemorySettings, measure_memory
from dcet.benchmarks.memory.page import render_memory
from dcet.benchmarks.memory.table import print_memory
from dcet.benchmarks.peers.measure import PeerSettings, measure_peers
from dcet.benchmarks.peers.table import print_peers
from dcet.benchmarks.prediction.measure import PredictSettings, predict_bundle
from dcet.benchmarks.prediction.page import render_prediction
from dcet.benchmarks.prediction.table import print_prediction
from dcet.benchmarks.progress import TrackOnStderr
from dcet.benchmarks.robustness.measure import RobustnessSettings, measure_robustness
from dcet.benchmarks.robustness.page import render_robustness
from dcet.benchmarks.robustness.table import print_robustness
from dcet.benchmarks.room.measure import RoomSettings, measure_room
from dcet.benchmarks.room.page import render_room
from dcet.benchmarks.room.table import print_room
from dcet.data.default_turns import default_turns
from dcet.data.streams import read_stream
from dcet.runtime import Bundle, FaceFinder
from dcet.runtime.cli.command import Group
from dcet.runtime.cli.options import SEED, FiniteRange, json_option
from dcet.runtime.cli.output import output_json, output_text, report_console
from dcet.runtime.cli.paths import OutputFile
from dcet.runtime.engines.registry import ENGINES


class Report(Protocol):
    """What a command measured."""

    def as_dict(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Report)
QUICK = LatencySettings(turns=300, growth_turns=10_000, size_turns=200)

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path), required=False)
engine_option = click.option(
    "--engine", default="auto", show_default=True, help=f"auto or {', '.join(ENGINES)}."
)
write_option = json_option("Write all figures as JSON")
html_option = click.option(
    "--html",
    "html_path",
    type=OutputFile(stdout=True),
    help="Write an HTML page with plots to this file; - for standard output.",
)


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure a DCET bundle on this machine.

    BUNDLE is the one that ships where none is named. Without a command: a quick latency
    measurement of that, shown as a table.

    \b
    Example:
      dcet-bench
      dcet-bench latency my.dcet --html report.html
    """
    if context.invoked_subcommand is None:
        _latency(Bundle.default(), QUICK)


@main.command()
@bundle_argument
@write_option
@html_option
@engine_option
@click.option(
    "--turns",
    default=LatencySettings.turns,
    show_default=True,
    type=click.IntRange(min=20),
    help="Turns of each closed loop, and rounds of each growth measurement.",
)
@click.option(
    "--growth-turns",
    default=LatencySettings.growth_turns,
    show_default=True,
    type=click.IntRange(min=100),
    help="Turns of the longest conversation.",
)
@click.option(
    "--speakers",
    default=LatencySettings.speakers,
    show_default=True,
    type=click.IntRange(min=1),
    help="Speakers in the largest conversation.",
)
@click.option(
    "--size-turns",
    default=LatencySettings.size_turns,
    show_default=True,
    type=click.IntRange(min=40),
    help="Raw turns, each of a different size, over which memory is measured.",
)
@click.option(
    "--seed",
    default=LatencySettings.seed,
    show_default=True,
    type=SEED,
    help="Seed of the order of the texts.",
)
def latency(
    bundle: Path | None,
    json_path: Path | None,
    html_path: Path | None,
    engine: str,
    turns: int,
    growth_turns: int,
    speakers: int,
    size_turns: int,
    seed: int,
) -> None:
    """Measure latency by stage, growth over turns, speakers and sizes, and cold start of BUNDLE.

    \b
    Example:
      dcet-bench latency my.dcet --json report.json --html report.html
    """
    settings = LatencySettings(
        engine=engine,
        turns=turns,
        growth_turns=growth_turns,
        speakers=speakers,
        size_turns=size_turns,
        seed=seed,
    )
    _latency(_open(bundle), settings, json_path, html_path)


def _show(
    report: R,
    print_report: Callable[[R, Console], None],
    render: Callable[[R], str],
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Print a report, and write what was asked for of it: JSON, and a page."""
    # Printed first: it is not lost where a file cannot be written.
    print_report(report, report_console(json_path, html_path))
    output_json(json_path, report.as_dict())
    if html_path is not None:
        output_text(html_path, render(report))


def _open(bundle: Path | None) -> Bundle:
    """Open a bundle, or the one that ships where none is named."""
    return Bundle.default() if bundle is None else Bundle.open(bundle)


def _latency(
    bundle: Bundle,
    settings: LatencySettings,
    json_path: Path | None = None,
    html_path: Path | None = None,
) -> None:
    with TrackOnStderr() as track:
        report = measure_latency(bundle, settings, track)
    _show(report, print_latency, render_page, json_path, html_path)


@main.command()
@bundle_argument
@click.option(
    "--corpus",
    type=click.Choice(["meld"]),
    default="meld",
    show_default=True,
    help="Format of the data.",
)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Dialogues in the CSV format of MELD.",
)
@engine_option
@click.option("--reset-memory", is_flag=True, help="Forget everything after every turn (ablation).")
@write_option
@html_option
def accuracy(
    bundle: Path | None,
    corpus: str,
    data: Path,
    engine: str,
    reset_memory: bool,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure the accuracy of BUNDLE on labelled dialogues, through the runtime.

    Also the risk against coverage: how many answers are wrong among those of which it is surest.

    \b
    Example:
      dcet-bench accuracy my.dcet --corpus meld --data test_sent_emo.csv --json accuracy.json
    """
    with TrackOnStderr() as track:
        report = measure_accuracy(
            _open(bundle), engine, corpus, data, reset_memory=reset_memory, track=track
        )
    _show(report, print_accuracy, render_accuracy, json_path, html_path)


@main.command()
@bundle_argument
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with meld/, ravdess/ and ferplus/.",
)
@click.option("--split", default="dev", show_default=True, help="Part of the data to play.")
@click.option(
    "--dialogues",
    default=RobustnessSettings.dialogues,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of MELD's dialogues.",
)
@click.option(
    "--seed",
    default=RobustnessSettings.seed,
    show_default=True,
    type=SEED,
    help="Seed of the choice of dialogues, clips, faces and errors.",
)
@engine_option
@write_option
@html_option
def robustness(
    bundle: Path | None,
    data: Path,
    split: str,
    dialogues: int,
    seed: int,
    engine: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure the accuracy of BUNDLE when modalities are missing or corrupted.

    Plays constructed conversations: MELD's text, with clips of RAVDESS and faces of FER+ that
    have the label of the turn and were never recorded with it.

    \b
    Example:
      dcet-bench robustness my.dcet --data DATA --json robustness.json --html robustness.html
    """
    settings = RobustnessSettings(engine=engine, dialogues=dialogues, seed=seed)
    with TrackOnStderr() as track:
        report = measure_robustness(_open(bundle), data, split, settings, track)
    _show(report, print_robustness, render_robustness, json_path, html_path)


@main.command()
@bundle_argument
@click.option(
    "--turns",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Labelled conversations: a CSV file in MELD's format or with the columns dialogue, turn, "
    "speaker, text and emotion, a folder of labelled turns, or one of clips with a labels.csv. May "
    "be repeated.  [default: the turns that ship with DCET]",
)
@click.option("--split", default="dev", show_default=True, help="Part of a folder of clips.")
@click.option(
    "--bank-bytes",
    default=MemorySettings.bank_bytes,
    show_default=True,
    type=click.IntRange(min=0),
    help="Size of the long-term bank; without one at 0.",
)
@click.option(
    "--seed",
    default=MemorySettings.seed,
    show_default=True,
    type=SEED,
    help="Seed of the bootstrap.",
)
@engine_option
@write_option
@html_option
def memory(
    bundle: Path | None,
    paths: tuple[Path, ...],
    split: str,
    bank_bytes: int,
    seed: int,
    engine: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure what each part of the memory of BUNDLE is worth.

    Plays the same turns with the whole memory, and again with each part of it set to zeros before
    every turn, and with one name for all speakers. Clips are heard as one conversation.

    \b
    Example:
      dcet-bench memory my.dcet --turns dev_sent_emo.csv --turns ravdess --html memory.html
    """
    settings = MemorySettings(engine=engine, bank_bytes=bank_bytes, seed=seed)
    streams = [read_stream(path, split) for path in paths] or [default_turns()]
    with TrackOnStderr() as track:
        report = measure_memory(_open(bundle), streams, settings, track)
    _show(report, print_memory, render_memory, json_path, html_path)


@main.command()
@bundle_argument
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of recordings.",
)
@click.option(
    "--spots",
    default=RoomSettings.spots,
    show_default=True,
    type=click.IntRange(min=1),
    help="Places in the talk that are moved, and cut to lengths.",
)
@click.option(
    "--seed",
    default=RoomSettings.seed,
    show_default=True,
    type=SEED,
    help="Seed of the places, and of the noise that is made.",
)
@engine_option
@write_option
@html_option
def room(
    bundle: Path | None,
    data: Path,
    spots: int,
    seed: int,
    engine: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure whether estimates of BUNDLE hold on recordings that nobody acted.

    The same talk is moved by milliseconds and cut to lengths; the turns of meetings, noise, music
    and silence are heard, and windows of talking heads compared with the next. DATA is searched
    with its subfolders: videos are talking heads; sound files below a folder with "noise" or
    "background" in its name hold no speech; other sound files are talk, and an .rttm next to them
    has its turns. Folders with a labels.csv are left out, as acted.

    \b
    Example:
      dcet-bench room my.dcet --data recordings --json room.json --html room.html
    """
    settings = RoomSettings(engine=engine, spots=spots, seed=seed)
    with TrackOnStderr() as track:
        report = measure_room(_open(bundle), data, settings, track)
    _show(report, print_room, render_room, json_path, html_path)


@main.command()
@bundle_argument
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of recordings: talk with an .rttm next to it, and videos of talking heads.",
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    help="Measure only this. May be repeated.  [default: all]",
)
@click.option(
    "--seconds",
    default=LiveSettings.seconds,
    show_default=True,
    type=FiniteRange(min=1),
    help="Of the stream in real time, once idle and once beside as many busy processes as cores.",
)
@click.option(
    "--deadline-ms",
    default=LiveSettings.deadline_ms,
    show_default=True,
    type=FiniteRange(min=1, max=60_000),
    help="Of the stream.",
)
@click.option(
    "--minutes",
    default=LiveSettings.minutes,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of media time in fast-forward.",
)
@click.option(
    "--face-model",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A YuNet file to find faces with; by default the best detector that is here.",
)
@engine_option
@write_option
@html_option
def live(
    bundle: Path | None,
    data: Path | None,
    parts: tuple[str, ...],
    seconds: float,
    deadline_ms: float,
    minutes: int,
    face_model: Path | None,
    engine: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Measure whether BUNDLE holds live: on time, for every person, for hours.

    deadlines: accuracy of labelled turns against the deadline, idle and beside busy processes.
    stream: from the end of speech to the final, with sound and 1080p pictures in real time.
    cutting: turns of meetings, against their .rttm. people: who speaks, of talking heads side by
    side. long: memory, latency and counters in fast-forward.

    \b
    Example:
      dcet-bench live my.dcet --data recordings --json live.json --html live.html
      dcet-bench live --part long --minutes 480
    """
    settings = LiveSettings(
        engine=engine,
        parts=parts or PARTS,
        seconds=seconds,
        deadline_ms=deadline_ms,
        minutes=minutes,
    )
    with TrackOnStderr() as track:
        report = measure_live(_open(bundle), data, FaceFinder(face_model), settings, track)
    _show(report, print_live, render_live, json_path, html_path)


@main.command()
@bundle_argument
@write_option
@click.option(
    "--threads",
    default=PeerSettings.threads,
    show_default=True,
    type=click.IntRange(min=1),
    help="Threads of the peers, and cores for all.",
)
@click.option(
    "--repeats",
    default=PeerSettings.repeats,
    show_default=True,
    type=click.IntRange(min=1),
    help="Rounds, each of half a second of turns by each model.",
)
@click.option(
    "--audio-s",
    default=PeerSettings.audio_s,
    show_default=True,
    type=FiniteRange(min=0.1, max=24),
    help="Seconds of audio in the turn.",
)
@click.option(
    "--versus",
    type=click.Path(path_type=Path),
    help="Another DCET bundle to run in the same rounds, such as BUNDLE in FP32.",
)
@engine_option
def peers(
    bundle: Path | None,
    json_path: Path | None,
    threads: int,
    repeats: int,
    audio_s: float,
    versus: Path | None,
    engine: str,
) -> None:
    """Measure a turn of BUNDLE and of BERT-base, Wav2Vec2-base and ResNet-50.

    32 tokens, 3 s of sound and 8 faces of 96×96, in one process and on the same cores. The peers
    are built from their configurations, with random weights, and run in eager torch with FP32 and
    in OpenVINO with INT8. Quantising them takes minutes, once: they stay in the user's cache.

    \b
    Example:
      dcet-bench peers my.dcet --threads 2 --json peers.json
      dcet-bench peers int8.dcet --versus fp32.dcet
    """
    settings = PeerSettings(engine=engine, threads=threads, repeats=repeats, audio_s=audio_s)
    with TrackOnStderr() as track:
        other = None if versus is None else Bundle.open(versus)
        report = measure_peers(_open(bundle), settings, track, versus=other)
    print_peers(report, report_console(json_path))
    output_json(json_path, report.as_dict())


@main.command()
@bundle_argument
@click.option(
    "--target", required=True, help="A target that states the figures of a device, or its .toml."
)
@click.option("--power-mode", help="Power mode of the device  [default: that of its peak figures]")
@click.option(
    "--repeats",
    default=PredictSettings.repeats,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs of each graph on this machine.",
)
@engine_option
@write_option
@html_option
def predict(
    bundle: Path | None,
    target: str,
    power_mode: str | None,
    repeats: int,
    engine: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Predict what a turn of BUNDLE would take on a device that is not here.

    Predicted, not measured: a roofline of the device's published figures over the FLOPs and bytes
    of the graphs, for 32 tokens, 3 s of sound and 8 faces of 96×96. The same predictor is checked
    on this machine, whose peaks and latencies are measured in the same run, with --engine.

    \b
    Example:
      dcet-bench predict my.dcet --target jetson-orin-nano --power-mode 15W --html predict.html
    """
    settings = PredictSettings(target=target, power_mode=power_mode, engine=engine, repeats=repeats)
    with TrackOnStderr() as track:
        report = predict_bundle(_open(bundle), settings, track)
    _show(report, print_prediction, render_prediction, json_path, html_path)


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--tolerance",
    default=LATENCY_TOLERANCE,
    show_default=True,
    type=FiniteRange(min=0),
    help="Fraction by which a latency may grow.",
)
@write_option
def compare(before: Path, after: Path, tolerance: float, json_path: Path | None) -> None:
    """Compare two reports of one kind; exit with 1 where AFTER is worse than BEFORE.

    \b
    Example:
      dcet-bench compare main.json branch.json --tolerance 0.15
    """
    comparison = compare_reports(before, after, tolerance)
    print_comparison(comparison, report_console(json_path))
    output_json(json_path, comparison.as_dict())
    sys.exit(1 if comparison.regressed else 0)


@main.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("output", type=OutputFile())
def figures(results: Path, output: Path) -> None:
    """Write the page of all reports in the folder RESULTS to OUTPUT, in Markdown.

    \b
    Example:
      dcet-bench figures benchmarks/results docs/benchmarks.md
    """
    output_text(output, render_figures(results))
