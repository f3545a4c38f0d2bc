"""A bundle leaves the export only if every engine that runs here agrees with torch."""

from dcet.export.graphs import ExportError
from dcet.runtime.bundle import Bundle
from dcet.runtime.engines import Engine
from dcet.runtime.golden import LABEL_AGREEMENT, is_held, replay_golden
from dcet.runtime.manifest import Parity


def measure(bundle: Bundle, engine: Engine) -> tuple[Parity, ...]:
    """Replay every golden sequence. Raises ExportError where the engine is too far off."""
    rows = replay_golden(bundle, engine)
    for row in rows:
        if not is_held(row):
            output = "features" if row.case in bundle.manifest.graphs else "probabilities"
            agreement = (
                ""
                if row.label_agreement is None
                else f" and the same emotion in {LABEL_AGREEMENT:.0%} of the steps"
            )
            found = "" if row.label_agreement is None else f" and {row.label_agreement:.0%}"
            raise ExportError(
                f"{engine.name}: golden sequence {row.case!r}: expected {output} within "
                f"{row.tolerance} of torch{agreement}, got {row.max_abs_probability:.2e}{found} "
                f"after {row.steps} steps; the bundle was not written. "
                "Try another version of the engine"
            )
    return rows
