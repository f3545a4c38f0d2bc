"""The process that recognises words: `python -m dcet.live.words.speech_worker MODEL LANGUAGE`.

It says on its standard output, a line of JSON each, that it is ready or why it cannot be, and then
the text of each request. A request on its standard input is the number of samples as uint32 and as
many float32 at 16 kHz. It ends with its input.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from dcet.runtime.errors import MissingExtra
from dcet.runtime.extras import need

COUNT = np.dtype("<u4")
SAMPLE = np.dtype("<f4")
NICER = 10  # what must be on time goes first
OPTIONS = {  # the same sound gives the same words: no sampling, nothing of earlier requests
    "beam_size": 1,
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "without_timestamps": True,
}
# Whisper's own thresholds, beyond which it would decode again at random. Of English talk nothing is
# as unlikely or repeats itself as much; what is made of other languages and of noise mostly does.
LEAST_LOGPROB = -1.0
MOST_COMPRESSION = 2.4


def main(model_name: str, language: str) -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no reply
    if hasattr(os, "nice"):
        os.nice(NICER)
    try:
        model = _load(model_name)
    except Exception as error:  # noqa: BLE001 - whatever it is, the host says it
        _reply(replies, error=str(error), is_missing=isinstance(error, MissingExtra))
        return
    _reply(replies, ready=True)
    while head := sys.stdin.buffer.read(COUNT.itemsize):
        samples = int(np.frombuffer(head, COUNT)[0])
        pcm = np.frombuffer(sys.stdin.buffer.read(samples * SAMPLE.itemsize), SAMPLE)
        try:
            segments, _ = model.transcribe(pcm, language=language or None, **OPTIONS)
            _reply(replies, text=words_of(segments))
        except Exception as error:  # noqa: BLE001 - as above
            _reply(replies, error=str(error))


def words_of(segments: Iterable[Any]) -> str:
    """Join the words of what Whisper recognised, without what it was only guessing."""
    return " ".join(
        segment.text.strip()
        for segment in segments
        if segment.avg_logprob >= LEAST_LOGPROB and segment.compression_ratio <= MOST_COMPRESSION
    )


def _load(name: str) -> Any:
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if Path(name).is_dir():
        os.environ["HF_HUB_OFFLINE"] = "1"  # or a tokenizer that is missing would be fetched
    whisper = need("faster_whisper", extra="asr")
    return whisper.WhisperModel(name, device="cpu", compute_type="int8", cpu_threads=1)


def _reply(replies: Any, **values: Any) -> None:
    print(json.dumps(values), file=replies, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
