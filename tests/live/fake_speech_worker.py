"""Stands in for `dcet.live.words.speech_worker`: no model, and faults when asked for.

The model's name is a folder in which it counts its starts; the first sample of a request says what
to do with it.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

TELL, END, HANG, RAISE, END_ONCE = 0.0, 0.25, 0.5, 0.75, 1.0


def reply(**values: object) -> None:
    print(json.dumps(values), flush=True)


def main(folder: str, language: str) -> None:
    if folder == "nowhere":
        reply(error="there is no such model")
        return
    if folder == "no package":
        reply(
            error="faster_whisper is not installed; run: pip install 'dcet[asr]'", is_missing=True
        )
        return
    starts = Path(folder, "starts")
    number = len(starts.read_text(encoding="utf-8")) + 1 if starts.exists() else 1
    starts.write_text("|" * number, encoding="utf-8")
    reply(ready=True)
    while head := sys.stdin.buffer.read(4):
        count = int(np.frombuffer(head, "<u4")[0])
        pcm = np.frombuffer(sys.stdin.buffer.read(4 * count), "<f4")
        what = float(pcm[0])
        if what == END or (what == END_ONCE and number == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == HANG:
            time.sleep(600)
        elif what == RAISE:
            reply(error="it cannot be heard")
        reply(text=f"{count} samples {language}".strip())


main(*sys.argv[1:])
