"""Follow who speaks in a video, by voice and face: python examples/follow_video.py interview.mp4

Every three seconds are a turn, with their sound and the frames of two moments. The runtime finds
the face in them. Needs: pip install 'dcet[faces,video]'
"""

import sys
from collections import defaultdict
from pathlib import Path

import av
import numpy as np

from dcet.runtime import Bundle, Conversation
from dcet.runtime.arrays import SAMPLE_RATE_HZ

TURN_S = 3
FRAMES_PER_TURN = 2

Arrays = list[np.ndarray]


def read_video(path: Path) -> tuple[np.ndarray, dict[int, Arrays]]:
    """Decode the sound, int16 (n,) at 16 kHz, and by turn some frames, (height, width, 3) RGB."""
    sound, pictures, next_s = [np.empty(0, np.int16)], defaultdict[int, Arrays](list), 0.0
    to_mono = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    with av.open(path) as container:
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.AudioFrame):
                sound += [part.to_ndarray()[0] for part in to_mono.resample(frame)]
            elif isinstance(frame, av.VideoFrame) and frame.time >= next_s:
                pictures[int(frame.time // TURN_S)].append(frame.to_ndarray(format="rgb24"))
                next_s += TURN_S / FRAMES_PER_TURN
    return np.concatenate(sound), pictures


def main(video: Path) -> None:
    sound, pictures = read_video(video)
    conversation = Conversation(Bundle.default())
    for turn, frames in sorted(pictures.items()):
        pcm = sound[turn * TURN_S * SAMPLE_RATE_HZ :][: TURN_S * SAMPLE_RATE_HZ]
        estimate = conversation.turn("speaker", audio=pcm, faces=frames, whole_frames=True)
        weights = ", ".join(f"{name} {w:.0%}" for name, w in estimate.modality_weights.items() if w)
        print(f"{turn * TURN_S:4} s  {estimate.emotion:<9} from {weights}", *estimate.degraded)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
