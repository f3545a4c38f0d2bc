"""Follow live streams of sound, pictures and text: events of emotion for every person, on time.

    with LiveSession(Bundle.default()) as session:
        session.push_audio(pcm, pts_us, sample_rate_hz=48_000)  # from any thread; never waits
        for event in session.events():
            event.speaker, event.kind, event.estimate.emotion

It imports dcet.runtime alone.
"""

from dcet.live.events import Event, SeenFace, SeenFaces
from dcet.live.session import LiveSession

__all__ = ["Event", "LiveSession", "SeenFace", "SeenFaces"]
