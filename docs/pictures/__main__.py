"""Draw the diagrams of the documentation: python docs/pictures [FOLDER]"""

import sys
from pathlib import Path

from diagrams import bundle_anatomy, finalize_states, layers, pipeline, turn, weights_over_noise

REPO = Path(__file__).parents[2]
IMAGES = REPO / "docs" / "images"
BUNDLE = REPO / "runtime" / "dcet" / "runtime" / "models" / "default.dcet"
ROBUSTNESS = REPO / "benchmarks" / "results" / "robustness-portable-openvino.json"

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    for name, canvas in {
        "pipeline": pipeline(),
        "turn": turn(),
        "bundle": bundle_anatomy(BUNDLE),
        "finalize": finalize_states(),
        "layers": layers(REPO / "pyproject.toml"),
        "weights": weights_over_noise(ROBUSTNESS),
    }.items():
        canvas.write(folder, name)
        print(folder / f"{name}.svg")
