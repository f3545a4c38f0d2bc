"""The commands of `dcet-dvcea`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit
from rich.table import Table

from dcet.runtime.cli.command import Group
from dcet.runtime.cli.options import json_option, licence_option
from dcet.runtime.cli.output import (
    STDOUT,
    output_json,
    output_text,
    report_console,
    show_status,
)
from dcet.runtime.cli.paths import OutputFile, OutputFolder
from dcet.runtime.extras import need
from dcet.runtime.senses.face import spread

if TYPE_CHECKING:
    from dcet.dvcea.annotations import Annotations
    from dcet.dvcea.rate import Rate
    from dcet.dvcea.settings import BuildConfig
    from dcet.runtime.senses.face_finder import FaceFinder

DEVICES = ("auto", "cpu", "cuda")

videos_option = click.option(
    "--input",
    "videos",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the videos, or of folders of them by split.",
)
settings_option = click.option(
    "--config",
    "settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with encoders, layers and other settings; docs/dvcea-build.md lists them.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    type=click.Choice(DEVICES),
    help="Where encoders run; auto takes CUDA where there is one.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that decode videos here  [default: one for each core]",
)


@click.group(cls=Group)
def main() -> None:
    """Make and look at DVCEA: features of conversations on video, to train fusion and memory from.

    \b
    Example:
      dcet-dvcea build --input MELD.Raw --annotations MELD/train_sent_emo.csv \\
          --annotations MELD/dev_sent_emo.csv --output meld.dvcea
    """


class Shard(click.ParamType[tuple[int, int]]):
    """A part of the work, such as 2/8."""

    name = "i/n"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        index, _, count = str(value).partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            self.fail(f"expected i/n with i from 1 to n, such as 2/8, got {value!r}", param, ctx)
        return int(index), int(count)


@main.command()
@videos_option
@click.option(
    "--annotations",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV in MELD's format, or with the columns File, Start_s and End_s; repeatable. Without "
    "any, turns are cut and people told apart as by dcet-live, and nothing is labelled.",
)
@click.option("--split", help="The split of videos without annotations  [default: train]")
@click.option("--asr", help="Whisper for CTranslate2 by folder or id, for words of such videos.")
@click.option("--output", required=True, type=OutputFolder(), help="The set to write.")
@settings_option
@click.option("--visual-encoder", help="Hub id, folder, or encoder of DCET's own.")
@click.option("--audio-encoder", help="Hub id, folder, or encoder of DCET's own.")
@click.option("--text-encoder", help="Hub id, folder, or encoder of DCET's own.")
@click.option("--persons", help="Mask2Former by hub id or folder, to blank out everyone else.")
@licence_option("Licence of videos, annotations or encoders, kept in the manifest")
@device_option
@click.option(
    "--engine",
    default="local",
    show_default=True,
    type=click.Choice(["local", "ray"]),
    help="What decodes videos: processes here, or a Ray cluster.",
)
@workers_option
@click.option(
    "--shard",
    default="1/1",
    show_default=True,
    type=Shard(),
    help="Make the i-th of n parts; once all are made, a run without it puts the set together.",
)
@click.option("--strict", is_flag=True, help="Stop at the first clip that would be set aside.")
@json_option("Write the manifest as JSON")
def build(
    videos: Path,
    annotations: tuple[Path, ...],
    split: str | None,
    output: Path,
    settings: Path | None,
    device: str,
    engine: str,
    workers: int | None,
    shard: tuple[int, int],
    strict: bool,
    json_path: Path | None,
    **changes: Any,
) -> None:
    """Make a set of videos, and their annotations if there are any; one that was stopped goes on
    where it was.

    What is not done yet lies in OUTPUT.parts. Clips that cannot be used are set aside with their
    reasons, in set_aside.jsonl.

    \b
    Example:
      dcet-dvcea build --input MELD.Raw --annotations MELD/dev_sent_emo.csv --output dev.dvcea
    """
    if annotations:
        for name, given in (("--split", split), ("--asr", changes["asr"])):
            if given:
                raise click.UsageError(f"{name} is for videos without --annotations, which say it")
    _need_dvcea()
    # torch takes seconds: only when asked for
    from dcet.dvcea.build import Build, expect_no_set
    from dcet.dvcea.settings import BuildConfig
    from dcet.training.cli_output import progress_bar
    from dcet.training.device import find_device
    from dcet.training.settings import read_settings, settings_from

    values = read_settings(settings)
    values |= {name: value for name, value in changes.items() if value}
    config = settings_from(BuildConfig, values, str(settings or "the options"))
    how: Any = {"workers": workers or os.cpu_count() or 1, "shard": shard, "strict": strict}
    expect_no_set(output)
    found = _clips(videos, annotations, split or "train", output, config, **how)
    made = Build(
        videos, found, output, config, device=find_device(device).type, engine=engine, **how
    )
    with progress_bar() as progress:
        manifest = made.run(progress)
    if manifest is None:
        words = "part {} of {} is made; once all are, run the command without --shard"
        click.echo(words.format(*shard), err=True)
        return
    _tell(output, manifest, made.finder, is_alone=json_path == STDOUT)
    output_json(json_path, manifest)


def _tell(
    output: Path, manifest: Mapping[str, Any], finder: "FaceFinder", *, is_alone: bool
) -> None:
    """Say what was made, unless JSON is to be alone on standard output, and how faces were found
    where that was not the best way."""
    counts = manifest["counts"]
    if not is_alone:
        click.echo(
            f"{output}: {counts['utterances']} utterances of {counts['dialogues']} dialogues; "
            f"{counts['set_aside']} clips were set aside, see set_aside.jsonl"
        )
    for note in finder.degraded:
        click.echo(f"faces are {note}", err=True)


@main.command()
@videos_option
@click.option(
    "--annotations",
    required=True,
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV as for `dcet-dvcea build`; repeatable.",
)
@settings_option
@device_option
@workers_option
@click.option(
    "--most",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="Clips that are built, evenly spread.",
)
@json_option("Write all figures as JSON")
def rate(
    videos: Path,
    annotations: tuple[Path, ...],
    settings: Path | None,
    device: str,
    workers: int | None,
    most: int,
    json_path: Path | None,
) -> None:
    """Measure how fast a build is here, which stage limits it, and how long all clips will take.

    The same clips go through a plain loop of the same steps, one utterance after the other, held to
    one core, and with as many threads as libraries take; through that loop where it searches whole
    pictures for faces as seldom as a build; and through a build.

    \b
    Example:
      dcet-dvcea rate --input MELD.Raw --annotations MELD/dev_sent_emo.csv --json rate.json
    """
    _need_dvcea()
    from dcet.dvcea.annotations import read_annotations
    from dcet.dvcea.build import expect_clips
    from dcet.dvcea.rate import measure_rate
    from dcet.dvcea.settings import BuildConfig
    from dcet.training.cli_output import progress_bar
    from dcet.training.device import find_device
    from dcet.training.settings import read_settings, settings_from

    values = read_settings(settings)
    config = settings_from(BuildConfig, values, str(settings or "the options"))
    found = read_annotations(annotations, videos)
    expect_clips(found, videos)
    cores = workers or os.cpu_count() or 1
    with progress_bar() as progress:
        measured = measure_rate(
            videos,
            found,
            config,
            progress,
            most=most,
            device=find_device(device).type,
            workers=cores,
        )
    output_json(json_path, measured.as_dict())
    console = report_console(json_path)
    console.print(_rates(measured))
    console.print(
        f"Limited by: {measured.limit}. All {len(found.clips)} clips take "
        f"{measured.all_hours:.1f} h at this rate."
    )


def _rates(measured: "Rate") -> Table:
    rows = [
        (name, loop.per_minute, loop.cpu_s, loop.stages_s)
        for name, loop in (
            ("plain loop, one core", measured.one_core_loop),
            ("plain loop", measured.plain_loop),
            ("searching less", measured.same_search_loop),
        )
        if loop is not None
    ]
    built = measured.build_per_minute
    rows.append(("build", built, measured.build_cpu_s, measured.build_stages_s))
    table = Table("", "utterances a minute", "CPU ms each", "ms each, by stage", "build / this")
    for name, per_minute, cpu_s, stages_s in rows:
        stages = ", ".join(f"{stage} {1000 * took_s:.0f}" for stage, took_s in stages_s.items())
        ratio = f"{built / per_minute:.1f}"
        table.add_row(name, f"{per_minute:.0f}", f"{1000 * cpu_s:.0f}", stages, ratio)
    return table


@main.command()
@click.argument("dvcea", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--meld", "is_meld", is_flag=True, help="Also name the faults of MELD that are known."
)
@click.option(
    "--allow",
    "allowed",
    multiple=True,
    metavar="KIND",
    help="A kind of finding that is all right, such as overlap; repeatable.",
)
@json_option("Write all findings as JSON")
def check(dvcea: Path, is_meld: bool, allowed: tuple[str, ...], json_path: Path | None) -> None:
    """Find in DVCEA what goes wrong in data sets; exit code 1 where something is.

    First every hash is verified. Duplicates within and across splits, features that are constant,
    what cannot be heard or seen, sound and pictures of unlike length, and times that overlap.

    \b
    Example:
      dcet-dvcea check meld.dvcea --meld --allow overlap
    """
    from dcet.data.dvcea import Dvcea
    from dcet.dvcea.check import KINDS, Finding
    from dcet.dvcea.check import check as find

    if unknown := [kind for kind in allowed if kind not in KINDS]:
        raise click.BadParameter(
            f"{unknown[0]!r} is none of {', '.join(KINDS)}", param_hint="'--allow'"
        )
    opened = Dvcea.open(dvcea)
    with show_status() as status:
        status("hashes")
        opened.verify()
        status(f"{len(opened)} utterances")
        by_kind: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
        for finding in find(opened, is_meld=is_meld):
            by_kind[finding.kind].append(finding)
    output_json(json_path, {kind: [f._asdict() for f in found] for kind, found in by_kind.items()})
    table = Table("finding", "", "", "the first of them")
    for kind, found in by_kind.items():
        if found:
            mark = "allowed" if kind in allowed else ""
            example = f"{found[0].where}: {found[0].detail}"
            table.add_row(kind, f"{len(found)} {mark}".rstrip(), KINDS[kind], example)
    console = report_console(json_path)
    console.print(table if table.rows else f"{dvcea}: nothing is wrong that can be found")
    if any(found for kind, found in by_kind.items() if kind not in allowed):
        raise Exit(1)


@main.command()
@click.argument("dvcea", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--html", required=True, type=OutputFile(stdout=True), help="The page to write.")
@click.option(
    "--videos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the videos, to show pictures with everyone's faces, and waveforms.",
)
@click.option("--split", help="Utterances of this split alone.")
@click.option(
    "--most",
    default=50,
    show_default=True,
    type=click.IntRange(min=1),
    help="Utterances that are shown, evenly spread.",
)
def inspect(dvcea: Path, html: Path, videos: Path | None, split: str | None, most: int) -> None:
    """Write a page: utterances with pictures, tracks, waveforms, labels and faults; and counts.

    \b
    Example:
      dcet-dvcea inspect meld.dvcea --videos MELD.Raw --html meld.html
    """
    _need_dvcea()
    from dcet.data.dvcea import Dvcea
    from dcet.dvcea.check import check as find
    from dcet.dvcea.look import Looks
    from dcet.dvcea.page import render_page

    opened = Dvcea.open(dvcea)
    try:
        chosen = opened if split is None else opened.split(split)
    except KeyError as error:
        raise click.BadParameter(str(error.args[0]), param_hint="'--split'") from error
    with show_status() as status:
        status("faults")
        findings = list(find(opened))
        looks = None if videos is None else Looks(videos, opened.manifest.value["settings"])
        shown = []
        for number, (_, said) in enumerate(spread(chosen, most)):
            status(f"utterance {number + 1} of {min(most, len(chosen))}")
            shown.append((said, None if looks is None else looks.at(said)))
    output_text(html, render_page(opened, shown, findings))


def _clips(
    videos: Path,
    annotations: tuple[Path, ...],
    split: str,
    output: Path,
    config: "BuildConfig",
    **how: Any,
) -> "Annotations":
    """Read what annotations say of the videos, or cut them into turns where there are none."""
    from dcet.dvcea.annotations import read_annotations
    from dcet.dvcea.build import expect_clips
    from dcet.dvcea.cutting import FOLDER, cut_videos
    from dcet.dvcea.parts import Parts
    from dcet.training.cli_output import progress_bar

    if annotations:
        found = read_annotations(annotations, videos, strict=how["strict"])
    else:
        kept = Parts.of(output).folder / FOLDER
        with progress_bar() as progress:
            found = cut_videos(videos, split, kept, config, progress, **how)
    expect_clips(found, videos)
    return found


def _need_dvcea() -> None:
    """Raise MissingExtra now rather than from a process that is started later."""
    for package in ("av", "pyarrow", "soxr", "cv2", "torch", "transformers"):
        need(package, extra="dvcea")
