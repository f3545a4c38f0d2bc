"""Builds a DVCEA data set from videos: prepare on all cores, encode in chunks, put together.

Clips are encoded in chunks that depend on the annotations alone, so that the result is the same
byte for byte however often a build was stopped, and however many shards it was made in.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from dcet.data.dvcea import DvceaUtterance
from dcet.data.dvcea_manifest import MANIFEST
from dcet.dvcea.annotations import Annotations, Clip, SetAside
from dcet.dvcea.encoders import Encoders
from dcet.dvcea.parts import Parts, read_set_aside, read_utterances, write_chunk
from dcet.dvcea.person_tracks import tracker_name
from dcet.dvcea.persons import Mask2FormerPersons
from dcet.dvcea.prepare import Prepared, read_prepared
from dcet.dvcea.ray_workers import RayWorkers
from dcet.dvcea.settings import BuildConfig
from dcet.dvcea.stopwatch import Stopwatch
from dcet.dvcea.workers import Workers
from dcet.dvcea.writer import About, write_dvcea
from dcet.runtime.errors import ConfigError, DataError
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.training.run.progress import Progress
from dcet.training.saved.hub_models import short_name
from dcet.training.saved.weights import weights_sha256

PACKAGES = (
    "dcet",
    "av",
    "numpy",
    "opencv-python-headless",
    "pyarrow",
    "soxr",
    "torch",
    "transformers",
)
TOLD = "whom dcet.live.people tells from the whole video; the only person seen where it cannot"
SPEAKER = (
    "the face whose mouth moves while the voice sounds (dcet.live.people.attribution); the only "
    "person seen where mouths say nothing; nobody else"
)


class Build:
    """A build of one set: begun, gone on with, and put together.

    shard: (i, n) makes each n-th chunk, from the i-th on, and does not put the set together
    device: `cpu` or `cuda`
    engine: that prepares clips: `local`, processes of this machine, or `ray`
    strict: raise for the first clip that would be set aside

    `watch` has how long the encoders took, and how long they had to `wait` for clips; `finder` is
    what finds faces here.

    Raises ConfigError, CheckpointError or MissingExtra.
    """

    def __init__(
        self,
        videos: Path,
        annotations: Annotations,
        output: Path,
        config: BuildConfig,
        *,
        device: str = "cpu",
        workers: int = 1,
        engine: str = "local",
        shard: tuple[int, int] = (1, 1),
        strict: bool = False,
    ) -> None:
        self._annotations, self._output, self._config = annotations, output, config
        self._shard, self._strict = shard, strict
        kind = RayWorkers if engine == "ray" else Workers
        self._workers: Workers | RayWorkers = kind(videos, config, device, workers)
        self._encoders = Encoders(config, device)
        self.finder = FaceFinder()
        self._about = self._describe(device)
        self._parts = Parts.of(output)
        self.watch = Stopwatch()
        size, clips = config.utterances_at_once, annotations.clips
        self._chunks = [clips[start : start + size] for start in range(0, len(clips), size)]

    @property
    def waits(self) -> bool:
        """Whether the encoders waited for clips for most of the time."""
        return self.watch.took_s["wait"] > self.watch.took_s["encode"]

    def run(self, progress: Progress) -> Mapping[str, Any] | None:
        """Make what is missing; put the set together unless this is a shard.

        Returns the manifest, None of a shard. Raises DataError where `strict`, where nothing could
        be used, ConfigError or WriteError.
        """
        expect_no_set(self._output)
        self._parts.claim(self._plan())
        index, count = self._shard
        missing = [
            number
            for number in range(index - 1, len(self._chunks), count)
            if not self._parts.chunk(number).exists()
        ]
        self._encode_all(missing, progress)
        if missing:
            slower, faster = (
                ("preparing clips", "encoders") if self.waits else ("encoding", "cores")
            )
            progress.say(f"{slower} limits how fast this goes: {faster} waited for it")
        if count > 1:
            return None
        progress.say("putting the set together")
        manifest = write_dvcea(self._output, self._utterances(), self._about, self._set_aside())
        self._parts.remove()
        return manifest

    def _encode_all(self, missing: Sequence[int], progress: Progress) -> None:
        size = self._config.utterances_at_once
        clips = [
            (clip, self._parts.prepared(number * size + place))
            for number in missing
            for place, clip in enumerate(self._chunks[number])
        ]
        done = 0
        with self._workers.preparing(clips) as ready:
            for number in missing:
                files = [
                    self._parts.prepared(number * size + i)
                    for i in range(len(self._chunks[number]))
                ]
                parts = []
                for file in files:
                    with self.watch.of("wait"):
                        ready(file)
                    parts.append(self._expect_usable(read_prepared(file)))
                    done += 1
                    progress.advance(done, len(clips), "utterances")
                with self.watch.of("encode"):
                    made = encode_together(self._encoders, parts)
                write_chunk(self._parts.chunk(number), made)
                for file in files:
                    file.unlink()

    def _expect_usable(self, part: Prepared | SetAside) -> Prepared | SetAside:
        if self._strict and isinstance(part, SetAside):
            raise DataError(f"{part.reason} (stopped for --strict)")
        return part

    def _utterances(self) -> Iterator[DvceaUtterance]:
        for file in self._chunk_files():
            yield from read_utterances(file)

    def _set_aside(self) -> Iterator[dict[str, Any]]:
        yield from map(asdict, self._annotations.set_aside)
        for file in self._chunk_files():
            yield from map(asdict, read_set_aside(file))

    def _chunk_files(self) -> list[Path]:
        return [self._parts.chunk(number) for number in range(len(self._chunks))]

    def _describe(self, device: str) -> About:
        config, persons = self._config, None
        if config.persons is not None:
            model = Mask2FormerPersons(config.persons, device).model
            persons = {"name": short_name(config.persons), "sha256": weights_sha256(model)}
        return About(
            name=self._output.stem,
            dtype=config.dtype,
            widths=self._encoders.widths,
            encoders=self._encoders.rows(),
            isolation={
                "faces": self.finder.detector,
                "persons": persons,
                "tracker": tracker_name(with_persons=persons is not None),
                "speaker": SPEAKER if self._annotations.turns is None else TOLD,
                "turns": self._annotations.turns,
            },
            settings={
                **asdict(config),
                **{
                    f"{name}_encoder": short_name(getattr(config, f"{name}_encoder"))
                    for name in ("visual", "audio", "text")
                },
                **{
                    name: None if given is None else short_name(given)
                    for name, given in (("persons", config.persons), ("asr", config.asr))
                },
            },
            licences={**self._encoders.licences, **config.licences},
            toolchain={name: metadata.version(name) for name in PACKAGES},
        )

    def _plan(self) -> dict[str, Any]:
        """Describe what is built of what: parts of another build do not belong to it."""
        clips = json.dumps([asdict(clip) for clip in self._annotations.clips])
        return {
            "clips": hashlib.sha256(clips.encode()).hexdigest(),
            **{
                name: dict(getattr(self._about, name))
                for name in ("settings", "encoders", "isolation", "toolchain")
            },
        }


def encode_together(
    encoders: Encoders, parts: Sequence[Prepared | SetAside]
) -> list[DvceaUtterance | SetAside]:
    """Encode prepared clips; those that are set aside stay so."""
    usable = [part for part in parts if isinstance(part, Prepared)]
    seen = [part for part in usable if len(part.crops)]
    visual: Iterator[Any] = iter(())
    if seen:
        features = encoders.faces(np.concatenate([part.crops for part in seen]))
        ends = np.cumsum([len(part.crops) for part in seen])[:-1]
        visual = iter(np.split(features, ends))
    heard = [part.pcm for part in usable if len(part.pcm)]
    audio = iter(encoders.sounds(heard) if heard else ())
    texts = [part.said["text"] for part in usable if part.said["text"]]
    text = iter(zip(*encoders.texts(texts), strict=True) if texts else ())
    made: list[DvceaUtterance | SetAside] = []
    for part in parts:
        if isinstance(part, SetAside):
            made.append(part)
            continue
        sound = next(audio) if len(part.pcm) else (None, None)
        words = next(text) if part.said["text"] else (None, 0.0)
        made.append(
            DvceaUtterance(
                **part.said,
                visual=next(visual) if len(part.crops) else None,
                visual_us=part.crops_us if len(part.crops) else None,
                audio=sound[0],
                audio_us=sound[1],
                text_features=words[0],
                text_quality=words[1],
            )
        )
    return made


def expect_no_set(output: Path) -> None:
    """Raise ConfigError where a set is already."""
    if (output / MANIFEST).exists():
        raise ConfigError(f"{output}: holds a set already; name another --output, or remove it")


def expect_clips(annotations: Annotations, videos: Path) -> Sequence[Clip]:
    """Return the clips. Raises DataError where there are none."""
    if not annotations.clips:
        reasons = [part.reason for part in annotations.set_aside[:3]]
        raise DataError(f"{videos}: nothing of it can be used; set aside: {'; '.join(reasons)}")
    return annotations.clips
