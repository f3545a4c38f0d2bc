"""Which bundle and which engine a report is about."""

from dataclasses import dataclass

from dcet.runtime import Bundle


@dataclass(frozen=True, kw_only=True)
class BundleIdentity:
    file: str  # its name, without the folder
    name: str
    version: str
    target: str
    sha256: str  # of manifest.json, which holds the hash of every other file
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class EngineIdentity:
    requested: str
    name: str
    reason: str  # why this one ran


def identify_bundle(bundle: Bundle) -> BundleIdentity:
    manifest = bundle.manifest
    return BundleIdentity(
        file=bundle.path.name,
        name=manifest.name,
        version=manifest.version,
        target=manifest.target,
        sha256=bundle.sha256,
        size_bytes=sum(entry.size_bytes for entry in manifest.files.values()),
    )


def identify_engine(bundle: Bundle, requested: str) -> EngineIdentity:
    engine = bundle.engine(requested)
    return EngineIdentity(requested=requested, name=engine.name, reason=engine.reason)
