"""Draw the diagrams of the documentation: python docs/pictures"""

from pathlib import Path

from diagrams import bundle_anatomy, finalize_states, layers, pipeline, turn, weights_over_noise

REPO = Path(__file__).parents[2]
IMAGES = REPO / "docs" / "images"
BUNDLE = REPO / "runtime" / "dcet" / "runtime" / "models" / "default.dcet"
ROBUSTNESS = REPO / "benchmarks" / "results" / "robustness.json"

if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for name, canvas in {
        "pipeline": pipeline(),
        "turn": turn(),
        "bundle": bundle_anatomy(BUNDLE),
        "finalize": finalize_states(),
        "layers": layers(REPO / "pyproject.toml"),
        "weights": weights_over_noise(ROBUSTNESS),
    }.items():
        canvas.write(IMAGES, name)
        print(IMAGES / f"{name}.svg")
