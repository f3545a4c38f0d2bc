"""Which detector of faces is used where none is named: the best that is here."""

from collections.abc import Callable
from pathlib import Path

from dcet.runtime.errors import ConfigError
from dcet.runtime.senses.detectors.blazeface import BlazeFace, installed_blazeface
from dcet.runtime.senses.detectors.detector import Detector
from dcet.runtime.senses.detectors.fetched import check_fetched, fetched_path
from dcet.runtime.senses.detectors.haar import Haar
from dcet.runtime.senses.detectors.retinaface import RetinaFace, installed_retinaface
from dcet.runtime.senses.detectors.yunet import YuNet

LAST_RESORT = (
    "found with OpenCV's Haar cascade, which misses faces that are small, turned or partly "
    "covered; run: dcet-faces fetch"
)


def best_detector() -> tuple[Detector, tuple[str, ...]]:
    """Return YuNet as fetched, or RetinaFace or BlazeFace as installed, or Haar; and why it is not
    a better one: what to tell with every face that it finds.

    A file that cannot be used is named there. Raises MissingExtra without OpenCV.
    """
    faults = []
    path = fetched_path()
    if path is not None and path.exists():
        try:
            check_fetched(path.read_bytes(), path)
            return YuNet(path), ()
        except (ConfigError, OSError) as error:
            faults.append(str(error))
    installed: tuple[tuple[Path | None, Callable[[Path], Detector]], ...] = (
        (installed_retinaface(), RetinaFace),
        (installed_blazeface(), BlazeFace),
    )
    for path, detector in installed:
        if path is not None:
            try:
                return detector(path), tuple(faults)
            except ConfigError as error:
                faults.append(str(error))
    return Haar(), (LAST_RESORT, *faults)
