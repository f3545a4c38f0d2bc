"""The check that every engine agrees with torch, without which no bundle is written."""

from dcet.export.graphs import ExportError
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.golden import LABEL_AGREEMENT, label_note, replay_golden, rows_too_far
from dcet.runtime.bundle.manifest import Parity
from dcet.runtime.engines.engine import Engine

ENGINES_CHECKED = ("onnxruntime", "openvino")


def measure(bundle: Bundle, engine: Engine) -> tuple[Parity, ...]:
    """Replay every golden sequence. Raises ExportError where the engine is too far off."""
    rows = replay_golden(bundle, engine)
    for row in rows_too_far(rows):
        raise ExportError(
            f"{engine.name}: {describe(bundle, row)}; the bundle was not written. "
            "Try another version of the engine"
        )
    return rows


def describe(bundle: Bundle, row: Parity) -> str:
    """Say what was expected of a golden sequence, and what came."""
    output = "features" if row.case in bundle.manifest.graphs else "probabilities"
    labels = f" and the same emotion in {LABEL_AGREEMENT:.0%} of all steps"
    return (
        f"golden sequence {row.case!r}: expected {output} within {row.tolerance} of torch"
        f"{'' if row.label_agreement is None else labels}, got {row.max_abs_probability:.2e}"
        f"{label_note(row)} after {row.steps} steps"
    )
