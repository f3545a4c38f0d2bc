"""Follow who speaks in a video, by voice and face: python examples/follow_video.py interview.mp4

Every three seconds are a turn, with two of their frames. Needs: pip install 'dcet[faces,video]'
"""

import sys
from collections import defaultdict
from pathlib import Path

import av
import numpy as np

from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import EmptyTurn

TURN_S, FRAMES_PER_TURN, RATE_HZ = 3, 2, 16_000


def read_video(path: Path) -> tuple[np.ndarray, dict[int, list[np.ndarray]]]:
    """Decode the audio, int16 (n,) at 16 kHz, and by turn some frames, (height, width, 3) RGB."""
    audio, pictures, next_s = [np.empty(0, np.int16)], defaultdict[int, list[np.ndarray]](list), 0.0
    to_mono = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(path) as container:
        for frame in container.decode(*container.streams.video[:1], *container.streams.audio[:1]):
            if isinstance(frame, av.AudioFrame):
                audio += [part.to_ndarray()[0] for part in to_mono.resample(frame)]
            elif isinstance(frame, av.VideoFrame) and frame.time >= next_s:
                pictures[int(frame.time // TURN_S)].append(frame.to_ndarray(format="rgb24"))
                next_s += TURN_S / FRAMES_PER_TURN
    return np.concatenate(audio), pictures


def main(video: Path) -> None:
    audio, pictures = read_video(video)
    conversation = Conversation(Bundle.default())
    for turn, frames in sorted(pictures.items()):
        pcm = audio[turn * TURN_S * RATE_HZ :][: TURN_S * RATE_HZ]
        try:
            said = conversation.turn("speaker", audio=pcm, faces=frames, whole_frames=True)
        except EmptyTurn as error:
            print(f"{turn * TURN_S:4} s  {error}")
            continue
        weights = ", ".join(f"{name} {w:.0%}" for name, w in said.modality_weights.items() if w)
        print(f"{turn * TURN_S:4} s  {said.emotion:<9} from {weights}", *said.degraded)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
