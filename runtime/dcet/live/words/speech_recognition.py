"""The words of a turn, by Whisper in a process of its own, while the session goes on."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from dcet.live.words.speech_worker import COUNT, SAMPLE
from dcet.runtime.arrays import Floats
from dcet.runtime.errors import ConfigError, MissingExtra

WORKER = "dcet.live.words.speech_worker"
LOADING_S = 600.0  # a model that is fetched first takes minutes
PATIENCE_S = 60.0  # for a turn, on a machine that has other things to do: then it hangs
MOST_WAITING = 16  # turns; more are answered with None
CLOSING_S = 2.0

Done = Callable[[int, str | None], None]


class _Failed(Exception):
    """The process did not answer as it should; why."""

    def __init__(self, why: str, *, is_missing: bool = False) -> None:
        super().__init__(why)
        self.is_missing = is_missing  # a package that it needs


class SpeechRecogniser:
    """Recognises the words of turns with faster-whisper, one turn at a time.

    model: a folder with a Whisper model for CTranslate2, or its id on the Hugging Face hub, from
        where it is fetched once; nothing else is ever sent or fetched
    language: of the speech, such as `en`; None: the model tells, where it knows several

    The process has a low priority. One that is killed, or hangs, is named in `notes` and started
    again once; should that fail too, no more words are recognised. Needs the extra `asr`. Raises
    MissingExtra, or ConfigError where the model cannot be loaded.
    """

    def __init__(self, model: str, *, language: str | None = None) -> None:
        self.notes: list[str] = []
        self._arguments = [str(model), language or ""]
        self._one_at_a_time = threading.Lock()
        self._is_off = False
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: queue.SimpleQueue[tuple[int, Floats | None, Done] | None] = (
            queue.SimpleQueue()
        )
        try:
            self._start()
        except _Failed as error:
            self._stop()
            if error.is_missing:
                raise MissingExtra(str(error)) from error
            raise ConfigError(
                f"speech recognition: the model {str(model)!r} cannot be loaded ({error}); give "
                "the folder of a Whisper model for CTranslate2, or its id on the hub"
            ) from error
        self._thread = threading.Thread(target=self._work, name="dcet-asr", daemon=True)
        self._thread.start()

    def submit(self, turn_id: int, pcm: Floats, done: Done) -> None:
        """Have a turn recognised, and never wait: pcm (n,) in [-1, 1] at 16 kHz is copied.

        done: called from another thread with the turn and its text, empty where there are no words,
            or None where it was not recognised
        """
        taken: Floats | None = None
        if self._waiting.qsize() < MOST_WAITING:
            taken = pcm.astype(SAMPLE)
        else:
            self.notes.append(f"turn {turn_id}: {MOST_WAITING} others already wait for their words")
        self._waiting.put((turn_id, taken, done))

    def transcribe(self, pcm: Floats) -> str | None:
        """Recognise pcm (n,) in [-1, 1] at 16 kHz, and wait for it; None as in `submit`."""
        with self._one_at_a_time:
            for _ in range(2):
                if self._is_off:
                    return None
                try:
                    if self._process is None:
                        self._start()
                    return self._ask(pcm.astype(SAMPLE))
                except _Failed as error:
                    self._stop()
                    if not self._is_off:
                        self.notes.append(f"speech recognition: {error}")
            self.notes.append("speech recognition: it failed twice in a row and is off from now on")
            self._is_off = True
            return None

    def close(self) -> None:
        """End the process. Turns that still wait are answered with None."""
        self._is_off = True
        self._waiting.put(None)
        if process := self._process:
            process.kill()  # what is being recognised ends, too
        self._thread.join(CLOSING_S)
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            turn_id, pcm, done = job
            done(turn_id, None if pcm is None else self.transcribe(pcm))

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._exchange(self._process, b"", LOADING_S)

    def _ask(self, pcm: Floats) -> str:
        assert self._process is not None
        request = COUNT.type(len(pcm)).tobytes() + pcm.tobytes()
        return str(self._exchange(self._process, request, PATIENCE_S)["text"])

    def _exchange(
        self, process: "subprocess.Popen[bytes]", request: bytes, patience_s: float
    ) -> dict[str, Any]:
        """Send a request and read the reply; a process that takes longer is killed.

        Raises _Failed.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        hung = threading.Event()

        def give_up() -> None:
            hung.set()
            process.kill()

        timer = threading.Timer(patience_s, give_up)
        timer.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if hung.is_set():
            raise _Failed(f"process {process.pid} hung for {patience_s:.0f} s and was killed")
        if not line:
            raise _Failed(f"process {process.pid} ended with {process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise _Failed(reply["error"], is_missing=reply.get("is_missing", False))
        return reply

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        with suppress(OSError):  # what was not yet sent
            process.stdin.close()
        process.stdout.close()
