"""The folder of a build that is not done yet: what is in it need not be made again.

plan.json             what is built of what; another build is refused
prepared/000012.npz   of a clip, until its chunk is encoded
chunks/000003.npz     features of the clips that were encoded together
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dcet.data.dvcea import DvceaUtterance
from dcet.dvcea.annotations import SetAside
from dcet.dvcea.arrays_file import open_arrays, write_arrays
from dcet.runtime.errors import ConfigError
from dcet.runtime.files import read_json, write_errors, write_json

FEATURES = ("visual", "visual_us", "audio", "audio_us", "text_features")
SAID = tuple(field.name for field in fields(DvceaUtterance) if field.name not in FEATURES)


@dataclass(frozen=True, slots=True)
class Parts:
    """The unfinished parts of a set that is to be at `output`."""

    folder: Path

    @classmethod
    def of(cls, output: Path) -> "Parts":
        """Name the folder of the parts of a set."""
        return cls(output.with_name(output.name + ".parts"))

    def claim(self, plan: Mapping[str, Any]) -> None:
        """Begin, or go on with the same plan. Raises ConfigError for another, or WriteError."""
        file = self.folder / "plan.json"
        plan = json.loads(json.dumps(plan))
        try:
            before = read_json(file)
        except FileNotFoundError:
            with write_errors(self.folder):
                for name in ("prepared", "chunks"):
                    (self.folder / name).mkdir(parents=True, exist_ok=True)
            write_json(file, plan)
            return
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: cannot be read ({error}); remove {self.folder}") from error
        if before != plan:
            keys = [
                key for key in plan if not isinstance(before, dict) or before.get(key) != plan[key]
            ]
            raise ConfigError(
                f"{self.folder}: holds parts of another build, which differs in "
                f"{', '.join(keys) or 'what is in plan.json'}; give that build's settings and "
                "videos again, another --output, or remove the folder"
            )

    def prepared(self, number: int) -> Path:
        """Name the file of a prepared clip."""
        return self.folder / "prepared" / f"{number:08d}.npz"

    def chunk(self, number: int) -> Path:
        """Name the file of a chunk."""
        return self.folder / "chunks" / f"{number:08d}.npz"

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_chunk(file: Path, made: Sequence[DvceaUtterance | SetAside]) -> None:
    """Write what became of the clips of a chunk. Raises WriteError."""
    arrays: dict[str, NDArray[Any]] = {}
    said = []
    for place, part in enumerate(made):
        if isinstance(part, SetAside):
            said.append({"set_aside": asdict(part)})
            continue
        said.append({name: getattr(part, name) for name in SAID})
        for name in FEATURES:
            if (array := getattr(part, name)) is not None:
                arrays[f"{name}/{place}"] = array
    write_arrays(file, said, arrays)


def read_utterances(file: Path) -> Iterator[DvceaUtterance]:
    """Read the utterances that `write_chunk` wrote, one after the other."""
    with open_arrays(file) as (made, arrays):
        for place, said in enumerate(made):
            if "set_aside" not in said:
                features: dict[str, Any] = {
                    name: arrays.get(f"{name}/{place}") for name in FEATURES
                }
                yield DvceaUtterance(**said, **features)


def read_set_aside(file: Path) -> Iterator[SetAside]:
    """Read what `write_chunk` wrote of clips that are set aside, and no features."""
    with open_arrays(file) as (made, _):
        for said in made:
            if "set_aside" in said:
                yield SetAside(**said["set_aside"])
