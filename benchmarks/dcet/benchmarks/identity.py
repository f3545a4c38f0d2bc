"""The bundle and the engine that a report is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from dcet.runtime import Bundle


@dataclass(frozen=True, kw_only=True)
class BundleIdentity:
    file: str  # its name, without the folder
    name: str
    version: str
    target: str
    precision: Mapping[str, str]  # by graph
    sha256: str  # of manifest.json, which holds the hash of every other file
    size_bytes: int

    @property
    def precisions(self) -> str:
        return ", ".join(f"{graph} {precision}" for graph, precision in self.precision.items())


@dataclass(frozen=True, kw_only=True)
class EngineIdentity:
    requested: str
    name: str
    reason: str  # why this one ran

    @property
    def chosen(self) -> str:
        return f"{self.name} ({self.reason})"


def identify_bundle(bundle: Bundle) -> BundleIdentity:
    manifest = bundle.manifest
    return BundleIdentity(
        file=bundle.path.name,
        name=manifest.name,
        version=manifest.version,
        target=manifest.target,
        precision={name: graph.precision for name, graph in manifest.graphs.items()},
        sha256=bundle.sha256,
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
    )


def identify_engine(bundle: Bundle, requested: str) -> EngineIdentity:
    engine = bundle.engine(requested)
    return EngineIdentity(requested=requested, name=engine.name, reason=engine.reason)
