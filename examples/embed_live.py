"""Follow everybody in a film as it goes on: python examples/embed_live.py interview.mp4

A host pushes its own streams alike. Needs: pip install 'dcet[live]'"""

import sys
from pathlib import Path

from dcet.live import Event, LiveSession
from dcet.live.media.media_file import MediaFile, Sound
from dcet.runtime import Bundle


def show(event: Event) -> None:
    if event.kind != "interim" and event.estimate is not None:
        seconds, emotion = event.start_us / 1e6, event.estimate.emotion
        print(f"{seconds:6.1f} s  {event.speaker:<9} {emotion:<9}", *event.left_out)


def main(film: Path) -> None:
    # threaded=False, as a file is pushed faster than it plays: nothing is late, nothing is dropped.
    with LiveSession(Bundle.default(), threaded=False, on_event=show) as session:
        for item in MediaFile(film):
            if isinstance(item, Sound):
                session.push_audio(item.samples, item.pts_us, sample_rate_hz=item.sample_rate_hz)
            else:
                session.push_frame(item.pixels, item.pts_us)


if __name__ == "__main__":
    main(Path(sys.argv[1])) if len(sys.argv) == 2 else sys.exit(__doc__)
