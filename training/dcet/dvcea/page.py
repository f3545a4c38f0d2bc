"""The page of a DVCEA data set: one HTML file that needs nothing else."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.data.dvcea_manifest import SET_ASIDE
from dcet.dvcea.check import KINDS, Finding
from dcet.dvcea.look import Look
from dcet.live.show.scene import COLOURS
from dcet.runtime.cli.html import html_page
from dcet.runtime.labels import EMOTIONS

WAVE_WIDTH, WAVE_HEIGHT = 480, 44
MORE_CSS = """
.frames { display: flex; gap: 6px; overflow-x: auto; margin: 8px 0; }
.frames figure { margin: 0; } .frames img { display: block; border-radius: 6px; }
.frames figcaption { font-size: 12px; color: var(--muted); }
.said { margin: 0 0 16px; }
.said header { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; }
.wave { display: block; max-width: 100%; } .wave rect { fill: var(--ink); opacity: 0.55; }
dl { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 8px 0 0; font-size: 13px; }
dl div { display: flex; gap: 6px; } dt { color: var(--muted); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
"""


def render_page(
    dvcea: Dvcea,
    shown: Iterable[tuple[DvceaUtterance, Look | str | None]],
    findings: Sequence[Finding],
) -> str:
    """Make the page.

    shown: utterances, each with a look at it, or why there is none, or None where none is wanted
    findings: of the whole set
    """
    css = files("dcet.live.show").joinpath("page.css").read_text(encoding="utf-8") + MORE_CSS
    name = str(dvcea.manifest.value["name"])
    faults: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        faults[finding.where].append(finding)
    sections = (
        _head(dvcea),
        _counts(dvcea.manifest.value["counts"]["splits"]),
        _findings(findings),
        "<h2>Utterances</h2>",
        *(_utterance(said, look, faults[said.where]) for said, look in shown),
        _set_aside(dvcea),
    )
    return html_page(name, css, sections)


def _head(dvcea: Dvcea) -> str:
    value = dvcea.manifest.value
    counts, persons = value["counts"], value["isolation"]["persons"]
    lead = (
        f"{counts['utterances']:,} utterances of {counts['dialogues']:,} dialogues; "
        f"{counts['set_aside']:,} clips were set aside"
    )
    rows = [
        (
            modality,
            "none" if row is None else f"{row['name']}, layer {row['layer']}, {row['pooling']}",
            f"{value['arrays'][modality]['items']:,} × {value['arrays'][modality]['width']}",
        )
        for modality, row in value["encoders"].items()
    ]
    told = f"Faces by {value['isolation']['faces']}; persons by " + (
        persons["name"] if persons else "nothing: the squares around faces as they are"
    )
    if turns := value["isolation"].get("turns"):
        told += f". Turns, which nobody annotated, by {turns}"
    return (
        f'<h1>{escape(str(value["name"]))}</h1><p class="lead">{escape(lead)}</p>'
        f'<p class="muted">{escape(told)}. Speaker: {escape(value["isolation"]["speaker"])}.</p>'
        f'<div class="card">{_table(("features", "encoder", "items × width"), rows)}</div>'
    )


def _counts(splits: Mapping[str, Any]) -> str:
    rows = []
    for name, split in splits.items():
        labelled = [split["emotions"][emotion] for emotion in EMOTIONS]
        whole = max(1, sum(labelled))
        bar = "".join(
            f'<i style="width:{count / whole:.2%};background:{COLOURS[emotion]}" '
            f'title="{emotion} {count}"></i>'
            for emotion, count in zip(EMOTIONS, labelled, strict=True)
            if count
        )
        counts = (*labelled, split["utterances"] - sum(labelled))
        cells = "".join(f'<td class="number">{count:,}</td>' for count in counts)
        rows.append(
            f'<tr><td>{escape(name)}</td><td class="number">{split["dialogues"]:,}</td>'
            f'<td class="number">{split["utterances"]:,}</td>{cells}'
            f'<td style="min-width:160px"><div class="bar">{bar}</div></td></tr>'
        )
    heads = "".join(
        f'<th class="number"><i style="background:{COLOURS[name]}"></i>{name}</th>'
        for name in EMOTIONS
    )
    heads += '<th class="number">not labelled</th>'
    return (
        '<h2>By split and emotion</h2><div class="card scroll"><table><thead><tr><th>split</th>'
        f'<th class="number">dialogues</th><th class="number">utterances</th>{heads}<th></th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _findings(findings: Sequence[Finding]) -> str:
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    if not by_kind:
        return '<h2>Faults</h2><div class="card">Nothing is wrong that can be found.</div>'
    rows = [
        (kind, f"{len(found):,}", KINDS[kind], f"{found[0].where}: {found[0].detail}")
        for kind, found in by_kind.items()
    ]
    table = _table(("kind", "utterances", "", "the first of them"), rows)
    return f'<h2>Faults</h2><div class="card scroll">{table}</div>'


def _utterance(said: DvceaUtterance, look: Look | str | None, faults: Sequence[Finding]) -> str:
    emotion = said.emotion or "not labelled"
    dot = f'<i style="background:{COLOURS.get(emotion, "#8b93a0")}"></i>'
    facts = {
        "speaker's face": f"{said.face_frames} of {said.frames} pictures",
        "track": "none" if said.track is None else f"{said.track}, {said.confidence:.0%} sure",
        "quality": f"face {said.visual_quality:.2f}, sound {said.audio_quality:.2f}, "
        f"text {said.text_quality:.2f}",
        "of the video": _part(said),
        "pictures": f"{said.picture_us / 1e6:.2f} s",
        "sound": f"{said.sound_us / 1e6:.2f} s",
        "items": f"{0 if said.visual is None else len(said.visual)} visual, "
        f"{0 if said.audio is None else len(said.audio)} audio",
    }
    listed = "".join(
        f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items()
    )
    wrong = "".join(
        f'<p class="alert">{escape(fault.kind)}: {escape(fault.detail)}</p>' for fault in faults
    )
    return (
        f'<div class="card said"><header><b>{escape(said.where)}</b>'
        f'<span class="muted">{escape(said.speaker)}</span>'
        f'<span class="legend" style="margin:0"><span>{dot}{escape(emotion)}</span>'
        f"<span>{escape(said.sentiment or '')}</span></span>"
        f'<span class="muted">{escape(said.source)}</span></header>'
        f"<p>{escape(said.text or '(no text)')}</p>{_look(look)}{wrong}"
        f'<p class="muted">{escape(said.reason)}</p><dl>{listed}</dl></div>'
    )


def _part(said: DvceaUtterance) -> str:
    if said.part_us is None:
        return "all"
    return f"{said.part_us[0] / 1e6:.2f} to {said.part_us[1] / 1e6:.2f} s"


def _look(look: Look | str | None) -> str:
    if look is None:
        return ""
    if isinstance(look, str):
        return f'<p class="alert">{escape(look)}</p>'
    figures = "".join(
        f'<figure><img src="{address}" alt="at {at_us / 1e6:.2f} s">'
        f"<figcaption>{at_us / 1e6:.2f} s</figcaption></figure>"
        for at_us, address in look.pictures
    )
    wide = WAVE_WIDTH / max(1, len(look.peaks))
    bars = "".join(
        f'<rect x="{place * wide:.1f}" y="{(1 - peak) * WAVE_HEIGHT / 2:.1f}" '
        f'width="{wide * 0.8:.2f}" height="{max(peak * WAVE_HEIGHT, 0.5):.1f}"/>'
        for place, peak in enumerate(look.peaks.tolist())
    )
    wave = (
        f'<svg class="wave" viewBox="0 0 {WAVE_WIDTH} {WAVE_HEIGHT}" width="{WAVE_WIDTH}" '
        f'height="{WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform">{bars}</svg>'
    )
    return f'<div class="frames">{figures}</div>' + (wave if bars else "")


def _set_aside(dvcea: Dvcea) -> str:
    text = (dvcea.manifest.folder / SET_ASIDE).read_text(encoding="utf-8")
    rows = []
    for line in text.splitlines():
        row = json.loads(line)
        parts = (row["split"], row["dialogue"], row["utterance"])
        place = " ".join(str(part) for part in parts if part is not None)
        rows.append((row["source"] or "", place, row["error"], row["reason"]))
    if not rows:
        return '<h2>Set aside</h2><div class="card">Nothing.</div>'
    table = _table(("video", "utterance", "error", "reason"), rows)
    return f'<h2>Set aside</h2><div class="card scroll">{table}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
