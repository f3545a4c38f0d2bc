"""Imports packages where they are used: a missing one names its cure, and none may report.

ONNX Runtime, OpenVINO and NNCF keep an identifier on disk and report to their makers, unless they
are told not to before they are imported.
"""

import os
import sys
from importlib import import_module
from types import ModuleType

from dcet.runtime.errors import MissingExtra

REPORTING = ("nncf", "onnxruntime", "onnxscript", "openvino")  # or import one that reports


def need(module: str, *, extra: str) -> ModuleType:
    """Import `module`, which `pip install 'dcet[extra]'` provides. Raises MissingExtra."""
    try:
        return import_silenced(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:  # the package is here but broken: say so
            raise
        raise MissingExtra(
            f"{module} is not installed; run: pip install 'dcet[{extra}]'"
        ) from error


def import_silenced(module: str) -> ModuleType:
    """Import `module`, told before not to report if it would. What the host set itself stays."""
    if module.partition(".")[0] in REPORTING:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        os.environ.setdefault("NNCF_CI", "1")
        # OpenVINO and NNCF go on in silence where this package is missing: None stands for that.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module(module)
