"""Compare two bundles, file by file and key by key: `python tests/compare_bundles.py A B`.

`created` and `toolchain` may differ, as they say when and with what a bundle was made, and so may
the numbers of unnamed nodes in OpenVINO IR: OpenVINO counts all nodes that its process ever made,
so they depend on what was exported before. Every other difference is printed.

Exit codes: 0 equal, 1 different, 2 unreadable.
"""

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAY_DIFFER = ("created", "toolchain")  # keys of the manifest
ABSENT = "(absent)"
NUMBER = re.compile(rb'_(\d+)(?=[" ,/_])')  # of a node of OpenVINO IR


def differences(one: Path, other: Path) -> Iterator[str]:
    """Yield each difference, the manifest's first."""
    with zipfile.ZipFile(one) as a, zipfile.ZipFile(other) as b:
        manifests = [json.loads(archive.read("manifest.json")) for archive in (a, b)]
        for manifest in manifests:
            for key in MAY_DIFFER:
                manifest.pop(key, None)
        for name in {*a.namelist()} & {*b.namelist()}:
            if name.endswith(".xml") and _renumbered(a.read(name)) == _renumbered(b.read(name)):
                for manifest in manifests:
                    manifest["files"].pop(name, None)
        yield from _in_json("manifest.json", *manifests)
        if a.namelist() != b.namelist() and sorted(a.namelist()) == sorted(b.namelist()):
            yield f"files: in another order: {a.namelist()} and {b.namelist()}"
        for name in sorted({*a.namelist(), *b.namelist()} - {"manifest.json"}):
            data, other_data = (z.read(name) if name in z.namelist() else None for z in (a, b))
            if name.endswith(".xml"):
                data, other_data = _renumbered(data), _renumbered(other_data)
            if data != other_data:
                yield f"{name}: {_size(data)} and {_size(other_data)}, not the same bytes"


def _in_json(place: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from _in_json(f"{place}.{key}", one.get(key, ABSENT), other.get(key, ABSENT))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _in_json(f"{place}[{number}]", *pair)
    elif (one, type(one)) != (other, type(other)):
        yield f"{place}: {json.dumps(one)} and {json.dumps(other)}"


def _renumbered(xml: bytes | None) -> bytes | None:
    """Number the nodes of OpenVINO IR in the order in which they appear."""
    if xml is None:
        return None
    numbers: dict[bytes, int] = {}
    return NUMBER.sub(lambda found: b"_%d" % numbers.setdefault(found[1], len(numbers)), xml)


def _size(data: bytes | None) -> str:
    return ABSENT if data is None else f"{len(data)} bytes"


def main(arguments: list[str]) -> int:
    """Print the differences of two bundles and return the exit code."""
    if len(arguments) != 2:
        print("usage: python tests/compare_bundles.py ONE.dcet OTHER.dcet", file=sys.stderr)
        return 2
    try:
        found = list(differences(*map(Path, arguments)))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        print(f"expected two bundles, got {' and '.join(arguments)}: {error}", file=sys.stderr)
        return 2
    print("\n".join(found) or f"equal but for {' and '.join(MAY_DIFFER)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
