"""Tell what each face in a photo shows: python examples/faces_in_photo.py party.jpg out.png

Needs: pip install 'dcet[faces]'
"""

import sys
from pathlib import Path

import cv2
import cv2.data
import numpy as np

from dcet.data.media import read_picture
from dcet.runtime import Bundle, Conversation

FRONT = Path(cv2.data.haarcascades, "haarcascade_frontalface_default.xml")
GREEN = (64, 220, 96)


def main(photo: Path, marked: Path) -> None:
    picture = read_picture(photo)
    boxes = cv2.CascadeClassifier(str(FRONT)).detectMultiScale(
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), minNeighbors=6
    )
    bundle = Bundle.default()
    canvas = np.ascontiguousarray(picture)
    for number, (x, y, width, height) in enumerate(sorted(map(tuple, boxes)), start=1):
        face = picture[y : y + height, x : x + width]
        estimate = Conversation(bundle).turn("person", faces=[face])  # each without a past
        label = f"{estimate.emotion} {estimate.probabilities[estimate.emotion]:.0%}"
        print(f"face {number}, {width} pixels wide at {x}, {y}: {label}")
        cv2.rectangle(canvas, (x, y), (x + width, y + height), GREEN, thickness=2)
        cv2.putText(canvas, label, (x, y - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, GREEN)
    if not cv2.imwrite(str(marked), cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR)):
        sys.exit(f"{marked} cannot be written")
    print(f"{len(boxes)} faces, marked in {marked}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
