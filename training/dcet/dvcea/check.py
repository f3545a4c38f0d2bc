"""Finds in a DVCEA data set what goes wrong in data sets: each finding names its utterance."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dcet.data.dvcea import Array, Dvcea, DvceaUtterance
from dcet.data.dvcea_manifest import SEQUENCES
from dcet.data.tables import read_csv

KINDS = {
    "duplicate": "the same part of the same video, or the same features, twice",
    "across-splits": "the same, in two splits",
    "constant": "features that are all alike, or a sequence whose items are",
    "no-sound": "there is no sound, or nothing that can be heard",
    "no-face": "nobody, or not the speaker, is seen",
    "length": "sound and pictures differ by more than half a second and a tenth",
    "few-faces": "the speaker's face is in fewer than half of the pictures",
    "long": "more than a minute: cut wrongly, as a rule",
    "overlap": "it begins before the utterance before has ended",
    "backwards": "it begins before the utterance before has begun",
    "known": "a fault of MELD that is known",
}
UNLIKE_US, UNLIKE_SHARE = 500_000, 0.1
LONG_US = 60_000_000
LEAST_FACES = 0.5


class Finding(NamedTuple):
    """One thing that is wrong with an utterance."""

    kind: str  # of KINDS
    where: str  # split, dialogue and number
    detail: str


def check(dvcea: Dvcea, *, is_meld: bool = False) -> Iterator[Finding]:
    """Find what is wrong with a set, in the order of its utterances; duplicates at the end.

    is_meld: also name the faults of MELD that are known
    """
    known = known_faults() if is_meld else {}
    parts: dict[object, list[DvceaUtterance]] = defaultdict(list)
    for dialogue in dvcea.dialogues:
        before: DvceaUtterance | None = None
        for said in dialogue:
            yield from _alone(said)
            if before is not None:
                yield from _times(before, said)
            if fault := known.get((said.split, said.dialogue, said.utterance)):
                yield Finding("known", said.where, fault)
            for key in _identities(said):
                parts[key].append(said)
            before = said
    yield from _duplicates(parts)


def known_faults() -> dict[tuple[str, str, int], str]:
    """Return the faults of MELD that are known, by split, dialogue and number of the utterance."""
    file = Path(str(files("dcet.dvcea"))) / "meld_known_bad.csv"
    columns = ("split", "dialogue", "utterance", "fault", "effect", "source")
    return {
        (row.text("split"), row.text("dialogue"), row.whole_number("utterance")): (
            f"{row.text('fault')}; {row.text('effect')} ({row.text('source')})"
        )
        for row in read_csv(file, columns)
    }


def _alone(said: DvceaUtterance) -> Iterator[Finding]:
    """Find what is wrong with an utterance by itself."""
    for name in (*SEQUENCES, "text_features"):
        if (features := getattr(said, name)) is not None and (why := _constant(features)):
            yield Finding("constant", said.where, f"{name}: {why}")
    if said.audio is None:
        yield Finding("no-sound", said.where, f"{said.sound_us / 1e6:.2f} s of sound")
    if said.visual is None:
        yield Finding("no-face", said.where, said.reason)
    elif said.face_frames < LEAST_FACES * said.frames:
        yield Finding("few-faces", said.where, f"in {said.face_frames} of {said.frames} pictures")
    lengths = (said.picture_us, said.sound_us)
    unlike_us = abs(said.picture_us - said.sound_us)
    if min(lengths) > 0 and unlike_us > max(UNLIKE_US, UNLIKE_SHARE * max(lengths)):
        seconds = " and ".join(f"{length / 1e6:.2f} s" for length in lengths)
        yield Finding("length", said.where, f"pictures and sound are of {seconds}")
    if max(lengths) > LONG_US:
        yield Finding("long", said.where, f"{max(lengths) / 1e6:.0f} s")


def _constant(features: Array) -> str | None:
    """Say what is constant in features (n, width) or (width,); None where nothing is."""
    rows = np.atleast_2d(features)
    alike = int((rows == rows[:, :1]).all(axis=1).sum())
    if alike:
        zeros = int((rows == 0).all(axis=1).sum())
        return f"{alike} of {len(rows)} items have one value throughout, {zeros} of them zero"
    if len(rows) > 2 and (rows == rows[0]).all():
        return f"all {len(rows)} items are the same"
    return None


def _times(before: DvceaUtterance, said: DvceaUtterance) -> Iterator[Finding]:
    if said.start_us is None or before.start_us is None or before.end_us is None:
        return
    begins, ends = said.start_us / 1e6, before.end_us / 1e6
    if said.start_us < before.start_us:
        detail = f"at {begins:.2f} s, the one before at {before.start_us / 1e6:.2f} s"
        yield Finding("backwards", said.where, detail)
    elif said.start_us < before.end_us:
        yield Finding("overlap", said.where, f"by {ends - begins:.2f} s")


def _identities(said: DvceaUtterance) -> Iterator[object]:
    """Name what two utterances may have in common only if they are the same."""
    yield said.source_sha256, said.part_us
    if said.audio is not None or said.visual is not None:
        digest = hashlib.sha256()
        for features in (said.audio, said.visual):
            digest.update(b"-" if features is None else np.ascontiguousarray(features).data)
        yield digest.digest()


def _duplicates(parts: dict[object, list[DvceaUtterance]]) -> Iterator[Finding]:
    seen = set()
    for alike in parts.values():
        for other in alike[1:]:
            pair = (alike[0].where, other.where)
            if pair in seen:
                continue
            seen.add(pair)
            kind = "duplicate" if other.split == alike[0].split else "across-splits"
            yield Finding(kind, other.where, f"as {alike[0].where}")
