"""The prediction for a device as one HTML file. Everything in it says that it is one."""

from html import escape

from dcet.benchmarks.page.markup import card, legend, table, whole_page
from dcet.benchmarks.page.plots import WIDTH, Bar, stacked_bars
from dcet.benchmarks.page.svg import Scale, Svg, figure, tick_label
from dcet.benchmarks.prediction.measure import ASSUMPTIONS, KIND, PredictReport
from dcet.benchmarks.prediction.roofline import Prediction
from dcet.targets.target import PRECISIONS

PARTS = {
    "arithmetic_ms": ("fill-1", "arithmetic"),
    "memory_ms": ("fill-2", "memory"),
    "launch_ms": ("fill-rest", "starting kernels"),
}


def render_prediction(report: PredictReport) -> str:
    sections = (
        _header(report),
        _turn(report),
        _there(report),
        _here(report),
        _assumptions(report),
        _made_with(report),
    )
    title = f"{report.bundle.name} {report.bundle.version} on {report.device.model}: {KIND}"
    return whole_page(title, sections)


def _header(report: PredictReport) -> str:
    notes = "".join(f'<p class="warning">{escape(note)}</p>' for note in report.notes)
    return (
        f"<h1>{escape(report.bundle.name)} {escape(report.bundle.version)} on "
        f"{escape(report.device.model)}</h1>"
        '<p class="lead"><b>Predicted, not measured.</b> Nothing here ran on that device. This is '
        "a roofline of its published figures over the FLOPs and bytes of the graphs, for a turn of "
        f"{report.sizes['tokens']} tokens, 3 s of sound and {report.sizes['faces']} faces. Made "
        f"{escape(report.created[:10])}.</p>{notes}"
    )


def _turn(report: PredictReport) -> str:
    mode = report.power_mode
    cards = (
        (
            "A turn, at least",
            report.turn_ms,
            "ms",
            f"the target’s deadline: {report.deadline_ms:g} ms",
        ),
        (
            "A turn, as far off as here",
            report.turn_as_far_as_here_ms,
            "ms",
            f"and as far from the prediction as {report.engine.name} is here",
        ),
        (
            "Energy of a turn, at least",
            report.turn_energy_mj,
            "mJ",
            f"mode {mode.name}, {mode.watts:g} W",
        ),
    )
    shown = "".join(
        f'<div class="card promise"><div class="name">{escape(name)}</div>'
        f'<span class="pill predicted">PREDICTED</span>'
        f'<div class="value">{figure(value)} <small>{unit}</small></div>'
        f'<span class="limit-note">{escape(note)}</span></div>'
        for name, value, unit, note in cards
    )
    return f'<div class="promises predictions">{shown}</div>'


def _there(report: PredictReport) -> str:
    bars = [_bar(graph.name, graph.there) for graph in report.graphs]
    colours = legend([*PARTS.values()])
    predicted = [
        [
            graph.name,
            figure(graph.there.limit_ms),
            figure(graph.there.latency_ms),
            figure(graph.as_far_as_here_ms),
            figure(graph.energy_mj),
        ]
        for graph in report.graphs
    ]
    turn = (report.turn_ms, report.turn_as_far_as_here_ms, report.turn_energy_mj)
    predicted.append(["turn", "", *map(figure, turn)])
    costs = [
        [
            graph.name,
            graph.work.precision,
            *(figure(graph.work.flops.get(kind, 0) / 1e6) for kind in PRECISIONS),
            figure(graph.work.weight_bytes / 1e6),
            figure(graph.work.activation_bytes / 1e6),
            f"{graph.work.kernels}",
        ]
        for graph in report.graphs
    ]
    head = ["graph", "file", *(f"MFLOP in {kind}" for kind in PRECISIONS), "weights, MB"]
    return (
        f"<h2>By graph, on {escape(report.device.model)} ({KIND})</h2>"
        '<p class="note">Each kernel counts as what limits it: its arithmetic at the peak, or its '
        'bytes at the bandwidth.</p><div class="grid">'
        + card("Where the time would go", f"{stacked_bars('Predicted', bars, 'ms')}{colours}")
        + card(
            "Predicted, ms",
            table(["", "limit", "with launches", "as far as here", "mJ"], predicted),
            f"As far as here: if its engine misses the prediction as {report.engine.name} does on "
            "this machine.",
        )
        + "</div>"
        + card(
            "What a run of each graph costs", table([*head, "activations, MB", "kernels"], costs)
        )
    )


def _bar(name: str, prediction: Prediction) -> Bar:
    parts = [(style, part, getattr(prediction, key)) for key, (style, part) in PARTS.items()]
    return Bar(name, parts)


def _here(report: PredictReport) -> str:
    rows = [
        [
            graph.name,
            f"{graph.here.threads}",
            ", ".join(
                f"{kind} {rate / 1e9:,.0f}" for kind, rate in graph.here.roof.flops_per_s.items()
            ),
            f"{graph.here.roof.weight_bytes_per_s / 1e9:,.0f}",
            f"{graph.here.roof.activation_bytes_per_s / 1e9:,.0f}",
            figure(graph.here.prediction.limit_ms),
            figure(graph.here.measured_ms.p50),
            f"{graph.here.ratio:.2f}×",
            figure(graph.here.prediction.latency_ms),
            f"{100 * graph.here.error:+.0f} %",
        ]
        for graph in report.graphs
    ]
    head = ["graph", "threads", "peak, GFLOP/s", "weights, GB/s", "activations, GB/s", "limit, ms"]
    head += ["measured, ms", "ratio", "predicted, ms", "error"]
    machine = report.machine
    colours = legend([("fill-3", "limit"), ("fill-2", "predicted"), ("fill-1", "measured, p50")])
    return (
        "<h2>The same predictor on this machine</h2>"
        f'<p class="note">{escape(machine.cpu)}, engine {escape(report.engine.name)}. Its peaks '
        "were measured in this run, on as many threads as the engine uses: products of matrices in "
        "the types that occur, and memory at the size of each graph’s weights and activations. "
        "Ratio: what was measured by the limit.</p>"
        + card("Limit, prediction and measurement", f"{_distances(report)}{colours}")
        + card("Figures", table(head, rows))
    )


def _distances(report: PredictReport) -> Svg:
    """Draw one row a graph, from its limit to what was measured, on a log axis."""
    top, bottom, row, width = 6.0, 34.0, 44.0, 2 * WIDTH
    svg = Svg(width, top + row * len(report.graphs) + bottom, "Limit and measurement by graph")
    figures = {
        graph.name: (
            ("3", "limit", graph.here.prediction.limit_ms),
            ("2", "predicted", graph.here.prediction.latency_ms),
            ("1", "measured", graph.here.measured_ms.p50),
        )
        for graph in report.graphs
    }
    values = [value for points in figures.values() for *_, value in points]
    x = Scale(min(values) / 1.25, max(values) * 1.25, 60, width - 60, log=True)
    end = svg.height - bottom
    for tick in x.ticks():
        svg.line((x(tick), end), (x(tick), top), "grid")
        svg.text(x(tick), end + 18, f"{tick_label(tick)} ms", "muted", anchor="middle")
    for index, graph in enumerate(report.graphs):
        y = top + row * index + 22
        points = figures[graph.name]
        places = [x(value) for *_, value in points]
        svg.text(0, y + 4, graph.name, "muted")
        svg.line((min(places), y), (max(places), y), "whisker")
        for style, what, value in points:
            svg.dot(
                x(value), y, 6, f"fill-{style}", tip=f"{graph.name}, {what}: {figure(value)} ms"
            )
        svg.text(max(places) + 12, y + 4, f"{graph.here.ratio:.2f}×", "strong")
    return svg


def _assumptions(report: PredictReport) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in ASSUMPTIONS)
    return f"<h2>What is assumed</h2>{card('', f'<ul>{items}</ul>')}"


def _made_with(report: PredictReport) -> str:
    device, machine = report.device, report.machine
    peaks = (
        f"int8 {device.peak_int8_tops:g} TOPS, fp16 {device.peak_fp16_tflops:g} and fp32 "
        f"{device.peak_fp32_tflops:g} TFLOPS, {device.bandwidth_gb_per_s:g} GB/s"
    )
    rows = {
        "Device": f"{device.model}: {peaks}; mode {report.power_mode.name} leaves "
        f"{report.power_mode.scale:.0%} of the arithmetic",
        "Source": device.source.removeprefix("https://"),
        "Estimated": ", ".join(device.estimated) or "none of these figures",
        "Bundle": f"{report.bundle.file}, target {report.bundle.target}",
        "Graphs": report.bundle.precisions,
        "Manifest SHA-256": report.bundle.sha256,
        "Engine here": f"{report.engine.name}: {report.engine.reason}",
        "This machine": f"{machine.cpu}, {machine.cores} usable cores, {machine.os}, "
        f"{machine.python}",
        "Packages": ", ".join(f"{name} {v}" for name, v in machine.packages.items()),
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    return f"<h2>Made with</h2>{card('', f'<dl>{items}</dl>')}"
