"""Loads and runs everything before the first turn, which is then neither slow nor a surprise."""

from contextlib import suppress

import numpy as np

from dcet.live.answering.planner import Costs
from dcet.live.answering.texts import text_size
from dcet.runtime.conversation import Conversation
from dcet.runtime.errors import MissingExtra
from dcet.runtime.extras import need

TIMES = 3
WORDS = "So what do we do now, I wonder? "
NOBODY = " "  # is never remembered


def load_packages() -> None:
    """Import what streams need, where it is installed.

    In one thread, before there are others: OpenCV takes its own place among the modules while it is
    imported, so that two threads that import it at once get half of it.
    """
    for package in ("cv2", "soxr"):
        with suppress(MissingExtra):  # named when a stream needs it
            need(package, extra="live")


def warm_up(conversation: Conversation, costs: Costs) -> None:
    """Take note of what sound, words and the step cost. Raises EngineError or MissingExtra."""
    audio = conversation.bundle.manifest.modalities["audio"]
    window = audio.window_samples or 0
    noise = np.random.default_rng(0).normal(0, 0.05, window).astype(np.float32)
    for time in range(TIMES):
        for repeats in (1, 4):
            encoded = conversation.encode(NOBODY, text=WORDS * repeats)
            took_ms = encoded.latency_ms["tokenize"] + encoded.latency_ms["text"]
            if time:
                costs.note("text", text_size(WORDS * repeats), took_ms)
        for samples, windows in ((window, 1), (window // 2, 2)) if audio.encoder else ():
            heard = conversation.encode(NOBODY, audio=noise[:samples], voiced=True)
            if time:
                costs.note("audio", windows, heard.latency_ms["audio"])
        estimate = conversation.preview(NOBODY, encoded=encoded)
        if time:
            costs.note("step", 1, estimate.latency_ms["step"])
