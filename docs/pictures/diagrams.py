"""The diagrams: how the parts of DCET fit together, and what becomes of a turn and of an engine."""

import json
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from canvas import BLUE, GREY, INK, MUTED, ORANGE, RED, TEAL, VIOLET, Box, Canvas


def pipeline() -> Canvas:
    """Draw the way from corpora to estimates in an app."""
    canvas = Canvas(1080, 300, "From training to estimates on a device")
    canvas.region(Box(24, 24, 588, 252), "Host", TEAL)
    canvas.region(Box(636, 24, 420, 252), "Device", BLUE)
    train = canvas.box(
        Box(48, 74, 150, 92), "dcet-train", ["encoders, fusion,", "memory"], colour=TEAL, code=True
    )
    export = canvas.box(
        Box(244, 74, 150, 92),
        "dcet-export",
        ["graphs, int8,", "parity with torch"],
        colour=TEAL,
        code=True,
    )
    bundle = canvas.box(
        Box(440, 74, 150, 92),
        "name.dcet",
        ["one verified file", "for one target"],
        colour=ORANGE,
        code=True,
    )
    finalize = canvas.box(
        Box(660, 74, 166, 92),
        "dcet-finalize",
        ["builds and checks", "the best engine"],
        colour=BLUE,
        code=True,
    )
    runtime = canvas.box(
        Box(870, 74, 166, 92),
        "dcet.runtime",
        ["memory of every", "speaker"],
        colour=BLUE,
        code=True,
    )
    for first, second in (
        (train, export),
        (export, bundle),
        (bundle, finalize),
        (finalize, runtime),
    ):
        canvas.arrow(first.right, second.left)
    corpora = canvas.box(Box(48, 208, 150, 46), "corpora", colour=GREY)
    bench = canvas.box(Box(440, 208, 150, 46), "dcet-bench", colour=VIOLET, code=True)
    canvas.box(Box(870, 208, 166, 46), "your app", colour=INK)
    canvas.arrow(corpora.top, train.bottom)
    canvas.arrow(bundle.bottom, bench.top, colour=VIOLET)
    canvas.arrow((920, 208), (920, 166), words="turns", at=(896, 192))
    canvas.arrow((986, 166), (986, 208), words="estimates", at=(1020, 192), colour=BLUE)
    for number, words in enumerate(
        ("only where an engine", "must be built on the", "device, as TensorRT's")
    ):
        canvas.text((743, 204 + 18 * number), words, size=12.5, colour=MUTED)
    return canvas


def turn() -> Canvas:
    """Draw one turn, from what a host has to an estimate."""
    canvas = Canvas(1080, 430, "One turn: encoders, fusion, memory, heads")
    rows = (
        ("text", "what was said", "graph text", 78, BLUE),
        ("audio", "how it was said", "graph audio", 178, TEAL),
        ("faces", "how it looked", "graph face", 278, ORANGE),
    )
    fusion = Box(452, 96, 150, 224)
    canvas.region(Box(432, 28, 474, 374), "graph step", VIOLET)
    for name, meaning, graph, y, colour in rows:
        given = canvas.box(Box(28, y, 150, 62), name, [meaning], colour=colour)
        encoder = canvas.box(Box(240, y, 140, 62), "encoder", [graph], colour=colour)
        canvas.arrow(given.right, encoder.left, colour=colour)
        canvas.arrow(encoder.right, (fusion.x, encoder.right[1]), colour=colour)
        canvas.text((206, y + 22), "quality", size=11.5, colour=MUTED)
    canvas.box(
        fusion,
        "fusion",
        ["text attends to", "audio and faces;", "three weights by", "quality and by", "agreement"],
        colour=VIOLET,
    )
    memory = canvas.box(
        Box(636, 96, 150, 224),
        "memory",
        [
            "memory tokens of",
            "speaker and scene",
            "read the turn and",
            "the last turns,",
            "and are rewritten",
        ],
        colour=VIOLET,
    )
    heads = canvas.box(Box(812, 150, 76, 116), "heads", colour=VIOLET)
    canvas.arrow(fusion.right, memory.left, colour=VIOLET)
    canvas.arrow(memory.right, (heads.x, 208), colour=VIOLET)
    canvas.box(Box(608, 344, 206, 46), "state: speaker, scene", colour=GREY)
    canvas.arrow((681, 344), (681, 320))
    canvas.arrow((741, 320), (741, 344))
    canvas.text((596, 364), "kept only when the", size=11.5, colour=MUTED, anchor="end")
    canvas.text((596, 379), "turn is answered", size=11.5, colour=MUTED, anchor="end")
    estimate = canvas.box(
        Box(930, 124, 126, 168),
        "Estimate",
        ["7 emotions", "sentiment", "shift", "weights", "degraded"],
        colour=INK,
    )
    canvas.arrow(heads.right, estimate.left, colour=VIOLET)
    return canvas


def bundle_anatomy(bundle: Path) -> Canvas:
    """Draw what a bundle holds, and how many bytes of it are what."""
    with zipfile.ZipFile(bundle) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        manifest = json.loads(archive.read("manifest.json"))
    parts: dict[str, int] = defaultdict(int)
    for name, size_bytes in sizes.items():
        parts[_part_of(name, manifest)] += size_bytes
    notes = {
        "manifest.json": "what the bundle is, and the SHA-256 of every other file",
        "text": "token ids → one vector",
        "audio": "3 s windows of PCM → a vector each",
        "face": "pixels → a vector a face",
        "speech": "sound → how probable a voice is, every 32 ms",
        "step": "fusion, memory and heads",
        "openvino/": "the same graphs as OpenVINO IR; weights stay in the ONNX files",
        "golden/": "recorded turns and torch's answers, replayed on every engine",
        "tokenizer.json": "Hugging Face tokenizers",
        "documents": "model card and licences",
    }
    assert parts.keys() <= notes.keys(), parts.keys() - notes.keys()
    rows = [name for name in notes if name in parts]
    top, height = 78, 40
    canvas = Canvas(1080, top + height * len(rows) + 28, "What a bundle holds")
    total = sum(parts.values())
    canvas.text((32, 44), f"default.dcet, {total / 1e6:.1f} MB", size=17, bold=True, anchor="start")
    canvas.text((1048, 44), "a zip without compression, or a folder", colour=MUTED, anchor="end")
    for number, name in enumerate(rows):
        y = top + height * number
        graph = manifest["graphs"].get(name)
        title = f"graphs/{name} · {graph['precision']}" if graph else name
        colour = BLUE if graph else VIOLET if name == "golden/" else GREY
        canvas.text((32, y + 18), title, code=True, anchor="start", colour=colour, bold=True)
        canvas.bar(Box(250, y + 5, max(3, 340 * parts[name] / total), 17), colour)
        size = parts[name] / 1e6
        label = f"{size:.1f} MB" if size >= 0.1 else f"{size * 1000:.0f} kB"
        canvas.text((250 + max(3, 340 * parts[name] / total) + 10, y + 18), label, anchor="start")
        canvas.text((560, y + 18), notes[name], anchor="start", colour=MUTED)
    return canvas


def _part_of(name: str, manifest: dict[str, Any]) -> str:
    graphs: dict[str, str] = {graph["file"]: id for id, graph in manifest["graphs"].items()}
    if name in graphs:
        return graphs[name]
    if name in ("manifest.json", "tokenizer.json"):
        return name
    folder = name.partition("/")[0] + "/"
    return folder if folder in ("golden/", "openvino/") else "documents"


def finalize_states() -> Canvas:
    """Draw what dcet-finalize does with an engine."""
    canvas = Canvas(1080, 356, "What dcet-finalize does with each engine")
    order = canvas.box(
        Box(32, 80, 160, 78), "next engine", ["of the bundle's", "fallback order"], colour=BLUE
    )
    build = canvas.box(
        Box(250, 80, 140, 78), "build", ["where it is", "one that is built"], colour=BLUE
    )
    load = canvas.box(Box(448, 80, 120, 78), "load", ["and verify"], colour=BLUE)
    replay = canvas.box(
        Box(626, 80, 180, 78), "replay", ["golden sequences, then", "a conversation"], colour=BLUE
    )
    publish = canvas.box(
        Box(866, 80, 182, 78), "publish", ["cache/KEY, renamed", "when it is whole"], colour=TEAL
    )
    for first, second in ((order, build), (build, load), (load, replay)):
        canvas.arrow(first.right, second.left)
    canvas.arrow(replay.right, publish.left, words="right", colour=TEAL)
    fail = canvas.box(
        Box(448, 250, 250, 64), "set aside", ["with its log, in cache/quarantine"], colour=RED
    )
    for box, words, x in (
        (build, "fails, hangs", 320),
        (load, "crashes", 508),
        (replay, "wrong", 716),
    ):
        end = (min(max(x, 470), 676), 250)
        canvas.arrow(box.bottom, (x, 206), (end[0], 206), end, colour=RED)
        canvas.text((x + 8, 186), words, size=12, colour=RED, anchor="start")
    canvas.arrow(fail.left, (112, 282), order.bottom, words="the next one", at=(280, 274))
    canvas.text(
        (32, 44),
        "Each engine is tried in a process of its own, with a time limit",
        bold=True,
        anchor="start",
        size=15,
    )
    canvas.text(
        (866, 186), "killed at any moment, it leaves", size=12, colour=MUTED, anchor="start"
    )
    canvas.text((866, 202), "a whole engine or none", size=12, colour=MUTED, anchor="start")
    return canvas


def layers(pyproject: Path) -> Canvas:
    """Draw the contract of import-linter that every import obeys."""
    linter = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(row for row in linter["contracts"] if row["type"] == "layers")
    floors = [[name.strip() for name in row.split("|")] for row in contract["layers"]]
    about = {
        "runtime": "what a device runs: numpy and an engine",
        "synthetic": "made voices, faces, noise",
        "targets": "what each device is",
        "data": "labelled turns and corpora",
        "demo": "a scripted conversation",
        "training": "corpora to checkpoint (torch)",
        "quantization": "precision of graphs (onnx)",
        "export": "checkpoint to bundle",
        "benchmarks": "measurements and reports",
        "finalize": "engines built on the device",
        "live": "streams in, events out",
        "dvcea": "features of films",
    }
    colours = {
        "training": TEAL,
        "export": TEAL,
        "quantization": TEAL,
        "benchmarks": VIOLET,
        "dvcea": TEAL,
    }
    canvas = Canvas(1080, 40 + 96 * len(floors), "Layers: imports point downwards")
    for floor, names in enumerate(floors):
        width = (920 - 20 * (len(names) - 1)) / len(names)
        for place, name in enumerate(names):
            short = name.removeprefix("dcet.")
            canvas.box(
                Box(32 + place * (width + 20), 28 + 96 * floor, width, 68),
                name,
                [about[short]],
                colour=colours.get(short, BLUE),
                code=True,
            )
    bottom = 96 * len(floors)
    canvas.arrow((996, 40), (996, bottom - 10))
    canvas.text((1010, bottom / 2), "imports", size=12.5, colour=MUTED, anchor="start")
    return canvas


def weights_over_noise(report: Path) -> Canvas:
    """Draw how the fusion's weights move away from audio as noise grows, as dcet-bench measured."""
    rows = json.loads(report.read_text(encoding="utf-8"))
    curve = next(row for row in rows["corruptions"] if row["measure"] == "SNR, dB")
    points = sorted(curve["points"], key=lambda point: -point["strength"])
    canvas = Canvas(1080, 372, "The weight of each modality over the noise in the audio")
    canvas.text(
        (32, 44),
        "Weights of the fusion as the audio gets noisy",
        size=15,
        bold=True,
        anchor="start",
    )
    left, right, top, bottom = 90.0, 800.0, 76.0, 306.0
    step = (right - left - 60) / (len(points) - 1)
    across = [left + 30 + step * number for number in range(len(points))]

    def height(weight: float) -> float:
        return bottom - (bottom - top) * weight / 0.8

    for weight in (0.0, 0.2, 0.4, 0.6, 0.8):
        canvas.line((left, height(weight)), (right, height(weight)))
        canvas.text((left - 12, height(weight) + 4), f"{weight:.1f}", anchor="end", colour=MUTED)
    for x, point in zip(across, points, strict=True):
        canvas.text((x, bottom + 22), f"{point['strength']:g} dB", colour=MUTED)
    canvas.text(((left + right) / 2, bottom + 46), "signal-to-noise ratio", colour=MUTED)
    for name, colour in (("text", BLUE), ("audio", TEAL), ("face", ORANGE)):
        weights = [point["outcome"]["modality_weights"][name] for point in points]
        canvas.curve(list(zip(across, map(height, weights), strict=True)), colour)
        canvas.text(
            (right + 6, height(weights[-1]) + 4), name, colour=colour, bold=True, anchor="start"
        )
    notes = (
        "Constructed conversations:",
        "words, voices and faces that",
        "never belonged together.",
        f"{rows['constructed']['turns']} turns of the dev splits,",
        "dcet-bench robustness",
    )
    for number, words in enumerate(notes):
        canvas.text((870, 96 + 20 * number), words, colour=MUTED, anchor="start", size=12.5)
    return canvas
