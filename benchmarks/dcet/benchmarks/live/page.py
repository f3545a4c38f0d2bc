"""The live report as one HTML file."""

from collections.abc import Sequence
from html import escape

from dcet.benchmarks.live.deadlines import Deadline
from dcet.benchmarks.live.headlines import JUDGED_MS
from dcet.benchmarks.live.long_run import LongRun
from dcet.benchmarks.live.measure import LiveReport
from dcet.benchmarks.live.wording import beside, not_measured, share, valued
from dcet.benchmarks.page.markup import card, legend, measured_with, table, whole_page
from dcet.benchmarks.page.plots import HEADROOM, WIDTH, x_axis, y_axis
from dcet.benchmarks.page.scores import strength_plot
from dcet.benchmarks.page.svg import Scale, Svg, figure

HEIGHT, LEFT, FOOT = 220.0, 52.0, 30.0  # of the plot of memory
STYLES = ("1", "3")  # of lines: idle, and beside busy processes


def render_live(report: LiveReport) -> str:
    sections = (
        _header(report),
        _deadlines(report),
        _streaming(report),
        _cutting(report),
        _people(report),
        _long_run(report),
        _measured_with(report),
    )
    return whole_page(f"{report.bundle.name} {report.bundle.version}: live", sections)


def _header(report: LiveReport) -> str:
    name = escape(f"{report.bundle.name} {report.bundle.version}")
    rows = [[row.name, valued(row, row.value), valued(row, row.bar)] for row in report.headlines]
    met = sum(row.is_met for row in report.headlines)
    missed = [row.name for row in report.headlines if not row.is_met]
    return (
        f"<h1>{name}: live</h1>"
        '<p class="lead">Streams in, estimates out within the deadline, for every person. Measured '
        f"{escape(report.created[:10])}.</p>"
        f'<div class="verdict {"broken" if missed else "kept"}"><b>{met}</b>'
        f"<span>of {len(report.headlines)} bars are kept</span></div>"
        + card(
            "What counts",
            table(["", "measured", "bar"], rows),
            f"Not kept: {'; '.join(missed)}." if missed else "",
        )
    )


def _deadlines(report: LiveReport) -> str:
    if not report.deadlines:
        return ""
    by_load: dict[int, list[Deadline]] = {}
    for row in report.deadlines:
        by_load.setdefault(row.busy, []).append(row)
    labels = [f"{row.deadline_ms:g} ms" for row in next(iter(by_load.values()))]
    styles = dict(zip(by_load, STYLES, strict=True))
    scores = [
        (styles[load], beside(load), [row.weighted_f1 for row in rows])
        for load, rows in by_load.items()
    ]
    times = [
        (styles[load], beside(load), [row.on_time for row in rows])
        for load, rows in by_load.items()
    ]
    colours = legend([(f"fill-{styles[load]}", beside(load)) for load in by_load])
    rows = [
        [
            f"{row.deadline_ms:g} ms, {beside(row.busy)}",
            f"{row.weighted_f1:.3f}",
            share(row.on_time),
            f"{row.p99_ms:.1f} ms",
            *(f"{used:.0%}" for used in row.used.values()),
        ]
        for row in report.deadlines
    ]
    head = ["deadline", "weighted F1", "on time", "p99", *report.deadlines[0].used]
    reasons = _reasons([row for row in report.deadlines if row.deadline_ms < JUDGED_MS])
    return (
        "<h2>Accuracy against the deadline</h2>"
        '<p class="note">The labelled turns that ship with DCET, each given whole: nothing is '
        "encoded while they speak. What comes late counts as the speaker's last answer.</p>"
        '<div class="grid">'
        + card(
            "Weighted F1", f"{strength_plot('Weighted F1', labels, scores, height=230)}{colours}"
        )
        + card("Share on time", f"{strength_plot('On time', labels, times, height=230)}{colours}")
        + "</div>"
        + card("Figures", table(head, rows), "Columns of senses: share of the turns that used it.")
        + (card("Left out below 50 ms", table(["what", "turns"], reasons)) if reasons else "")
    )


def _reasons(rows: Sequence[Deadline]) -> list[list[str]]:
    counts: dict[str, int] = {}
    for row in rows:
        for reason, count in row.left_out.items():
            counts[reason] = counts.get(reason, 0) + count
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:8]
    return [[reason, f"{count}"] for reason, count in most]


def _streaming(report: LiveReport) -> str:
    if not report.streaming:
        return ""
    rows, stages = [], []
    for row in report.streaming:
        latency = row.latency_ms
        found = ["no turn"] * 4
        if latency is not None and row.after_speech_ms is not None:
            shown = (latency.p50, latency.p99, latency.max, row.after_speech_ms.p50)
            found = [f"{value:.1f} ms" for value in shown]
        rows.append(
            [beside(row.busy), f"{row.turns}", *found, share(row.on_time), f"{row.cpu_cores:.2f}"]
        )
        stages += [
            [f"{name}, {beside(row.busy)}", f"{figure(value)} ms"]
            for name, value in row.stages_ms.items()
            if value
        ]
    first = report.streaming[0]
    height, width = first.pictures
    idle = "" if report.idle is None else f" An empty room takes {report.idle.cpu_cores:.2f} cores."
    head = ["", "turns", "p50", "p99", "max", "with hangover, p50", "on time", "cores"]
    frames = [
        [beside(row.busy), *(f"{row.counters['frames'][fate]:,}" for fate in ("used", "dropped"))]
        for row in report.streaming
    ]
    return (
        "<h2>From the end of speech to the final</h2>"
        f'<p class="note">Sound, and pictures of {width}×{height} 30 times a second '
        f"({escape(first.stream)}), in real time; a deadline of {first.deadline_ms:g} ms. The "
        f"{first.hangover_ms:.0f} ms of silence that end a turn are counted in one column alone."
        f"{idle}</p>"
        + card("Finals", table(head, rows))
        + '<div class="grid">'
        + card("Stages, median", table(["stage", "takes"], stages))
        + card("Pictures", table(["", "used", "dropped"], frames))
        + "</div>"
    )


def _cutting(report: LiveReport) -> str:
    found = report.cutting
    if found is None:
        return ""
    rows = [
        ["recordings", f"{found.recordings}, {found.seconds:.0f} s", ""],
        ["turns by the files", f"{found.speech_s:.0f} s", ""],
        *(
            [name, share(value), share(found.of_speech(value))]
            for name, value in (
                ("missed: a turn by the files alone", found.missed),
                ("false: a turn by the session alone", found.false_alarm),
                ("wrong: both", found.error),
            )
        ),
        ["ends of turns that are found", f"{share(found.ends_found)} of {found.ends}", ""],
    ]
    for name, value in (("p50", found.delay_p50_ms), ("p90", found.delay_p90_ms)):
        if value is not None:
            rows.append([f"known after the end, {name}", f"{value:.0f} ms", ""])
    return (
        "<h2>Turns of meetings</h2>"
        '<p class="note">Against the turns that people wrote down. The bar is for the share of all '
        "time; the detection error rate of the literature is the share of the speech.</p>"
        + card("", table(["", "of all time", "of the time in turns"], rows))
    )


def _people(report: LiveReport) -> str:
    if not report.people:
        return ""
    rows = [
        [
            f"{row.clips}, {row.who.frame_rate:g} frames/s",
            f"{row.who.seconds:.0f} s",
            share(row.who.right),
            share(row.who.wrong),
            share(1 - row.who.right - row.who.wrong),
            share(row.who.right_at_once),
            f"{row.who.crossed}",
        ]
        for row in report.people
    ]
    head = ["", "voiced", "right", "wrong", "unknown", "right at once", "ids that crossed"]
    return (
        "<h2>Who speaks</h2>"
        '<p class="note">Talking heads side by side, of whom one at a time speaks; at once: after '
        "a second of the turn.</p>" + card("", table(head, rows))
    )


def _long_run(report: LiveReport) -> str:
    found = report.long_run
    if found is None:
        return ""
    rows = [
        ["memory growth", f"{found.growth_bytes / 2**20:.2f} MiB"],
        ["p99, first half", f"{found.p99_first_ms:.1f} ms"],
        ["p99, second half", f"{found.p99_last_ms:.1f} ms"],
        ["turns", f"{sum(minute.turns for minute in found.minutes):,}"],
        ["counters", "exact" if found.is_exact else "do not add up"],
        ["took", f"{found.took_s:.0f} s"],
    ]
    return (
        f"<h2>{len(found.minutes)} minutes in fast-forward</h2>"
        f'<p class="note">The first {found.warm_minutes} minutes do not count.</p>'
        '<div class="grid">'
        + card("Memory of the process", str(_memory_plot(found)))
        + card("Figures", table(["", "measured"], rows))
        + "</div>"
    )


def _memory_plot(found: LongRun) -> Svg:
    svg = Svg(WIDTH, HEIGHT, "Memory over minutes of media time")
    mib = [minute.rss_bytes / 2**20 for minute in found.minutes]
    x = Scale(0, found.minutes[-1].at, LEFT, WIDTH - 16)
    y = Scale(0, 1.1 * max(mib), HEIGHT - FOOT, HEADROOM)
    x_axis(svg, x, HEIGHT - FOOT, HEADROOM, "min")
    y_axis(svg, y, LEFT, "MiB")
    points = [(x(minute.at), y(value)) for minute, value in zip(found.minutes, mib, strict=True)]
    svg.path([(LEFT, points[0][1]), *points], "stroke-1")
    return svg


def _measured_with(report: LiveReport) -> str:
    settings = report.settings
    rows = {
        "Parts": ", ".join(settings.parts),
        "Data": report.data or "none",
        "Faces": f"found with {report.face_detector}",
        "Settings": f"{settings.seconds:g} s in real time, {settings.minutes} min in fast-forward",
    }
    if lacking := not_measured(report):
        rows["Left out"] = "; ".join(lacking)
    return measured_with(report.bundle, report.engine, rows)
