"""Evaluate a folder of labelled turns: python examples/labelled_folder.py FOLDER

docs/turns.md has the format: one line of JSON a turn, with the names of its audio and image files.
"""

import sys
from pathlib import Path

from dcet.data.metrics import emotion_metrics
from dcet.data.playing import play
from dcet.data.turns import read_turns
from dcet.runtime import Bundle


def main(folder: Path) -> None:
    turns = read_turns(folder)
    probabilities = play(Bundle.default(), turns)  # every conversation begins with an empty memory
    figures = emotion_metrics(turns.labels, probabilities)
    print(f"{len(turns)} turns of {len(turns.conversations)} conversations in {turns.name}")
    for name in ("accuracy", "uar", "weighted_f1"):
        print(f"{name:<12}{figures[name]:.3f}")
    for emotion, f1 in figures["per_class_f1"].items():
        print(f"  {emotion:<10}{'–' if f1 is None else f'{f1:.3f}'}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
