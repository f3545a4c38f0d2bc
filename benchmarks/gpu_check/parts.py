"""The parts of `make gpu-check`, in their order: what each needs, runs, and may take."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
BUNDLE = "default.dcet"  # a copy, beside which engines are kept
COMMANDS = {
    "dcet-bench": "dcet.benchmarks.cli",
    "dcet-finalize": "dcet.finalize.cli",
    "dcet-train": "dcet.training.cli",
}
RUNTIME = ("click", "numpy", "rich", "tokenizers")
TRAINING = (*RUNTIME, "safetensors", "torch", "transformers")
ONNX = (*RUNTIME, "onnx", "torch")
# Engines by what they need; those that are built take minutes.
ENGINES: Mapping[str, Mapping[str, tuple[tuple[str, ...], float]]] = {
    "cuda": {
        "onnxruntime-cuda": ((*RUNTIME, "onnxruntime", "cuda"), 60.0),
        "torch-cuda": (ONNX, 180.0),
        "tensorrt": ((*RUNTIME, "tensorrt", "cuda"), 120.0),
        "torch-tensorrt": ((*ONNX, "torch_tensorrt"), 120.0),
    },
    "cpu": {"onnxruntime": ((*RUNTIME, "onnxruntime"), 60.0)},
}
SILERO = "assets/silero_vad_v6.onnx"  # in faster_whisper
SPEECH_DATA = ("ami", "ravdess", "emogator", "noise_rooms")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A process, and the JSON that it writes."""

    name: str
    command: list[str]
    figures: Path
    log: Path
    limit_s: float
    needs: tuple[str, ...] = ()  # packages
    cannot: str = ""  # why it is not possible here, where that is known before


class Parts:
    """The parts of a run of the check in a folder of its own."""

    def __init__(self, device: str, folder: Path, data: str | None) -> None:
        self.device, self.folder = device, folder
        self.data = Path(data) if data else folder / "data"
        self.encoder = folder / "data" / "encoder"  # a text encoder in Hugging Face's format

    def part(self, name: str, command: list[str], limit_s: float, **others: object) -> Part:
        place = self.folder / name.replace(" ", "-")
        command = [*command, "--json", str(place / "figures.json")]
        return Part(
            name=name,
            command=command,
            figures=place / "figures.json",
            log=place / "log.txt",
            limit_s=limit_s,
            **others,  # type: ignore[arg-type]
        )

    def training(self, name: str, *arguments: object, limit_s: float = 60.0, **others: str) -> Part:
        run = self.folder / "runs" / name.replace(" ", "-")
        words = [*map(str, arguments), "--output", str(run), "--epochs", "1"]
        command = [*dcet("dcet-train"), *words, "--device", self.device]
        return self.part(f"train {name}", command, limit_s, needs=TRAINING, **others)

    def all(self) -> list[Part]:
        script = [sys.executable, str(HERE / "environment.py"), self.device]
        made = [self.part("environment", script, 60.0)]
        script = [sys.executable, str(HERE / "corpora.py"), str(self.folder / "data"), self.device]
        made.append(self.part("corpora", script, 60.0, needs=(*TRAINING, "cv2")))
        made += [*self._trainings(), *self._engines()]
        return made

    def _trainings(self) -> list[Part]:
        data = ["--data", self.data]
        student = self.folder / "data" / "student.json"
        silero = _silero()
        why = "" if silero else "no silero_vad_v6.onnx: install faster-whisper"
        if missing := [name for name in SPEECH_DATA if not (self.data / name).is_dir()]:
            why = f"{self.data}: no {', '.join(missing)}; set DCET_DATA"
        text = ["--text-encoder", self.encoder]
        return [
            self.training("dialogues", "fit", "--meld", self.data / "meld", *text),
            self.training(
                "text", "encoder", "--modality", "text", "--corpus", "meld", *data, *text
            ),
            self.training("audio", "encoder", "--modality", "audio", "--corpus", "crema_d", *data),
            self.training("face", "encoder", "--modality", "face", "--corpus", "ferplus", *data),
            self.training(
                "student",
                *("distill", "--modality", "face", "--corpus", "ferplus", *data),
                *("--teacher", "default", "--student", student),
            ),
            self.training(
                "fusion",
                *("fuse", "--checkpoint", "default", "--audio", "default"),
                *("--face", "default", *data),
            ),
            self.training("speech", "speech", "--teacher", silero or "", *data, cannot=why),
        ]

    def _engines(self) -> list[Part]:
        bundle = self.folder / BUNDLE
        made = []
        for engine, (needs, limit_s) in ENGINES[self.device].items():
            finalize = [*dcet("dcet-finalize"), str(bundle), "--engine", engine]
            made.append(self.part(f"golden {engine}", finalize, limit_s, needs=needs))
            latency = [*dcet("dcet-bench"), "latency", str(bundle), "--engine", engine]
            few = ["--turns", "20", "--growth-turns", "100", "--size-turns", "40"]
            latency += few if self.device == "cpu" else ["--turns", "200", *few[2:]]
            made.append(self.part(f"latency {engine}", latency, 60.0, needs=(*needs, "psutil")))
        peers = [*dcet("dcet-bench"), "peers", str(bundle), "--repeats", "3"]
        needs = (*TRAINING, "nncf", "openvino")
        made.append(self.part("peers", peers, 90.0, needs=needs))
        return made


def parts_for(device: str, folder: Path, data: str | None) -> list[Part]:
    """List the parts for `cuda` or `cpu`; they work in `folder`.

    data: a folder of corpora; None takes small synthetic ones
    """
    return Parts(device, folder, data).all()


def dcet(command: str) -> list[str]:
    """Return a command of DCET's as this Python runs it without any installation."""
    program = f"from {COMMANDS[command]} import main; main(prog_name={command!r})"
    return [sys.executable, "-c", program]


def _silero() -> Path | None:
    spec = find_spec("faster_whisper")
    file = Path(spec.origin).parent / SILERO if spec and spec.origin else None
    return file if file and file.is_file() else None
