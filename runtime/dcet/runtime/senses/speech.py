"""Hears where in a turn's audio a human voice sounds, before an encoder hears any of it.

Noise, music and silence name no emotion. What comes before the first and after the last voiced hop
is left out, so that a pause at an end counts as little as padding.
"""

import numpy as np

from dcet.runtime.arrays import SAMPLE_RATE_HZ, Floats
from dcet.runtime.bundle.manifest import Manifest, Speech
from dcet.runtime.engines.engine import Engine, start
from dcet.runtime.turn import Unusable

EDGE = 0.5  # of the threshold, from which a hop may be the soft beginning or end of a voice
MARGIN_MS = 192  # kept before and after the voice: six hops of 32 ms
LEAST_CUT_MS = 300  # less is not worth another start of the windows


def hear_voice(engine: Engine, manifest: Manifest, pcm: Floats) -> Floats:
    """Return the probability of a voice in each hop of pcm (n,) at 16 kHz; the last may be padded.

    Raises EngineError.
    """
    speech = manifest.speech
    assert speech is not None
    hops = -(-len(pcm) // speech.hop_samples)
    padded = np.pad(pcm, (0, hops * speech.hop_samples - len(pcm)))[None]
    (state,) = manifest.states_of(speech.graph)
    inputs = {"pcm": padded, state.input: np.zeros(state.shape, np.float32)}
    heard: Floats = start(engine, speech.graph, inputs)()["speech"][0]
    return heard


def voiced_part(voice: Floats, speech: Speech, samples: int) -> slice:
    """Return the samples from the first to the last hop of `voice` (hops,) that may be voiced, with
    a margin; all of them where that leaves out next to nothing.

    Raises Unusable where too little of a voice is heard.
    """
    hop_ms = speech.hop_samples * 1000 / SAMPLE_RATE_HZ
    (voiced,) = np.nonzero(voice >= speech.threshold)
    heard_ms, seconds = len(voiced) * hop_ms, samples / SAMPLE_RATE_HZ
    if heard_ms < speech.least_ms or len(voiced) == 0:
        heard = f"only {heard_ms:.0f} ms of a voice were" if len(voiced) else "no voice was"
        least = f"at least {speech.least_ms:.0f} ms are needed"
        raise Unusable(f"{heard} heard in {seconds:.1f} s of sound; {least}")
    margin = round(MARGIN_MS / hop_ms)
    (maybe,) = np.nonzero(voice >= EDGE * speech.threshold)
    first = max(0, int(maybe[0]) - margin) * speech.hop_samples
    last = min(samples, (int(maybe[-1]) + 1 + margin) * speech.hop_samples)
    left_out_ms = (samples - (last - first)) * 1000 / SAMPLE_RATE_HZ
    return slice(first, last) if left_out_ms > LEAST_CUT_MS else slice(0, samples)
