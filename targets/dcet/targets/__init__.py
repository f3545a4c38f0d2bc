"""Targets: each device is a row of data that export, the runtime and the benchmarks agree on.

It may import `dcet.runtime`.
"""

from dcet.targets.target import (
    Device,
    PowerMode,
    Target,
    TargetError,
    TensorrtRange,
    UnknownTarget,
    list_targets,
    load_target,
)

__all__ = [
    "Device",
    "PowerMode",
    "Target",
    "TargetError",
    "TensorrtRange",
    "UnknownTarget",
    "list_targets",
    "load_target",
]
