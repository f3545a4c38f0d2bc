"""Follow a voice through a recording: python examples/follow_wav.py interview.wav

Nothing here tells speakers apart: every three seconds are a turn of one speaker. Files other than
WAV of 16 bits at 16 kHz need: pip install 'dcet[audio]'
"""

import sys
from pathlib import Path

from dcet.data.media import read_audio
from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import EmptyTurn

TURN_S = 3.0


def main(recording: Path) -> None:
    pcm, rate_hz = read_audio(recording)
    conversation = Conversation(Bundle.default())
    samples = round(TURN_S * rate_hz)
    for start in range(0, len(pcm), samples):
        print(f"{start / rate_hz:6.1f} s  ", end="")
        try:
            estimate = conversation.turn(
                "voice", audio=pcm[start : start + samples], sample_rate_hz=rate_hz
            )
        except EmptyTurn as silence:
            print(silence)
            continue
        share = estimate.probabilities[estimate.emotion]
        print(f"{estimate.emotion:<9}{share:4.0%}  {'█' * round(20 * share)}")
    if conversation.turns == 0:
        sys.exit(f"{recording}: no turn of it holds a voice")
    mood = conversation.trajectory("voice").sentiment.mean()
    print(f"sentiment over {conversation.turns} turns: {mood:+.2f}, from -1 to 1")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
