"""The parts of the report that show where time and memory go."""

from collections.abc import Iterator, Sequence
from html import escape

from dcet.benchmarks.latency.loops import Loop
from dcet.benchmarks.latency.measure import LatencyReport
from dcet.benchmarks.latency.plots import growth_plot, latency_histogram, memory_plot, pace_plot
from dcet.benchmarks.latency.promises import GROWTH_P50_PERCENT, MEMORY_GROWTH_KIB, SIZES_GROWTH_MIB
from dcet.benchmarks.page.markup import card, legend, table
from dcet.benchmarks.page.plots import WIDTH, Bar, stacked_bars
from dcet.benchmarks.page.svg import figure
from dcet.benchmarks.stats import TABLED, percentile_label

STAGE_STYLES = {
    "tokenize": ("fill-2", "tokenize"),
    "text": ("fill-1", "text encoder"),
    "audio": ("fill-4", "audio encoder"),
    "face": ("fill-5", "face encoder"),
    "step": ("fill-3", "step"),
}


def turn_section(report: LatencyReport) -> str:
    mixed = report.mixed
    turns, counts = mixed.latency_ms["turn"], mixed.histogram_ms["turn"]
    title = "Latency of a whole turn, everyday texts"
    histograms = "".join(
        f'<div class="{name}">{latency_histogram(title, counts, turns, width)}</div>'
        for name, width in (("wide", 1000.0), ("narrow", WIDTH))
    )
    return (
        "<h2>A turn, from text to estimate</h2>"
        f'<p class="note">{turns.n:,} turns of everyday texts of {min(mixed.tokens)} to '
        f"{max(mixed.tokens)} tokens, back to back, after {report.warm_up.turns} turns of warm-up"
        f"{'' if report.warm_up.stable else ' (not yet stable)'}. No outlier was removed.</p>"
        + card(title, histograms, "Orange: the slowest 5 % of the turns.")
        + f'<div class="grid"><div>{_stage_card(report)}{_pace_card(report)}</div>'
        + card("Percentiles, ms", _percentile_table(_back_to_back(report)))
        + "</div>"
    )


def _back_to_back(report: LatencyReport) -> list[Loop]:
    loops = (report.mixed, report.fixed, report.three_senses)
    return [loop for loop in loops if loop is not None]


def _stage_card(report: LatencyReport) -> str:
    bars = [_stage_bar(loop) for loop in _back_to_back(report)]
    colours = legend([(style, name) for style, name, _ in bars[-1].segments])
    return card(
        "Where the time goes (mean)", f"{stacked_bars('Mean by stage', bars, 'ms')}{colours}"
    )


def _stage_bar(loop: Loop) -> Bar:
    """Stack the loop's own stages, and what the host does around them."""
    mean = {stage: summary.mean for stage, summary in loop.latency_ms.items()}
    stages = [stage for stage in mean if stage != "turn"]
    rest = max(0.0, mean["turn"] - sum(mean[stage] for stage in stages))
    segments = [(*STAGE_STYLES[stage], mean[stage]) for stage in stages]
    return Bar(loop.name, [*segments, ("fill-rest", "host", rest)])


def _pace_card(report: LatencyReport) -> str:
    plot = pace_plot("Whole turns at three paces", [report.fixed, *report.paced])
    colours = legend(
        [("fill-1", "p50"), ("fill-2", "p95"), ("fill-3", "p99"), ("fill-4", "maximum")]
    )
    note = "People pause between turns; meanwhile the processor clocks down and its caches go cold."
    return card("Back to back, and at a natural pace", f"{plot}{colours}", note)


def _percentile_table(loops: Sequence[Loop]) -> str:
    head = "".join(f"<th>{percentile_label(name)}</th>" for name in TABLED)
    return (
        f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>'
        + "".join(row for loop in loops for row in _percentile_rows(loop))
        + "</tbody></table></div>"
    )


def _percentile_rows(loop: Loop) -> Iterator[str]:
    yield f'<tr><th colspan="{len(TABLED) + 1}">{escape(loop.name)}</th></tr>'
    for stage, summary in loop.latency_ms.items():
        cells = "".join(f"<td>{figure(getattr(summary, key))}</td>" for key in TABLED)
        style = "total" if stage == "turn" else ""
        yield f'<tr class="{style}"><td>{stage}</td>{cells}</tr>'


def growth_section(report: LatencyReport) -> str:
    turns, speakers = report.growth_over_turns, report.growth_over_speakers
    sizes = report.memory_over_sizes
    senses = ", length of audio, number and size of faces" if report.three_senses else ""
    age, known = "turns played before", "speakers in the conversation"
    return (
        "<h2>Long conversations and many speakers</h2>"
        '<p class="note">Conversations of every size, measured in turn and in random order. '
        "Text features are given, so this is the cost of fusion, memory and heads. Line: p50; "
        "band: up to p95.</p>"
        '<div class="grid">'
        + card(
            "Cost of a turn over turns",
            str(growth_plot("Cost over turns", turns, age, GROWTH_P50_PERCENT / 100)),
            f"Green: within {GROWTH_P50_PERCENT:g} % of turn {turns[0].at}. Pair by pair within a "
            f"round, turn {turns[-1].at:,} costs {100 * (turns[-1].ratio - 1):+.1f} % (median).",
        )
        + card(
            "Memory over turns, since the first",
            str(memory_plot("Memory over turns", turns, age, MEMORY_GROWTH_KIB)),
            f"{turns[-1].rss_bytes / 2**20:,.0f} MiB resident in all by then.",
        )
        + card(
            "Cost of a turn over speakers",
            str(growth_plot("Cost over speakers", speakers, known)),
        )
        + card(
            "Memory over speakers, since the first",
            str(memory_plot("Memory over speakers", speakers, known)),
            "The app sets how many speakers a conversation can hold.",
        )
        + card(
            "Memory over turns of different sizes, since the first",
            str(memory_plot("Memory over sizes", sizes, age, 1024 * SIZES_GROWTH_MIB)),
            f"Raw turns, each with a different text{senses}. "
            f"{sizes[-1].rss_bytes / 2**20:,.0f} MiB resident in all by then.",
        )
        + "</div>"
    )


def cold_start_section(report: LatencyReport) -> str:
    cold = report.cold_start
    bars = [
        Bar(
            f"process {number}",
            [
                ("fill-rest", "import dcet.runtime", run.import_s),
                ("fill-2", "open and verify", run.open_s),
                ("fill-1", "first estimate", run.first_estimate_s),
            ],
        )
        for number, run in enumerate(cold.runs, start=1)
    ]
    colours = legend([(style, name) for style, name, _ in bars[0].segments])
    rows = [
        ["import dcet.runtime", f"{cold.import_s:.3f} s"],
        ["open and first estimate", f"{cold.open_and_first_estimate_s:.3f} s"],
    ]
    if cold.peak_rss_bytes is not None:
        rows.append(["peak memory", f"{cold.peak_rss_bytes / 2**20:,.0f} MiB"])
    return (
        "<h2>Cold start</h2>"
        '<p class="note">Each bar is a fresh process: it imports the runtime, opens the bundle, '
        "and answers one turn.</p>"
        '<div class="grid">'
        + card("Start by process", f"{stacked_bars('Cold start', bars, 's')}{colours}")
        + card("Median", f'<div class="big">{table(["", ""], rows)}</div>')
        + "</div>"
    )
