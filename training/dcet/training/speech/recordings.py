"""The sounds that the detector is trained and judged on, with where a voice sounds in each.

What is said is labelled by the teacher on the clean recording. Laughs, sobs and gasps, which are a
voice without speech, and synthetic voices are labelled by their energy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcet.data.media import path_inside, read_mono
from dcet.data.recordings import FILE, read_labels
from dcet.runtime.arrays import HOP_SAMPLES, SAMPLE_RATE_HZ, Floats
from dcet.runtime.errors import DataNotFound
from dcet.synthetic import probes
from dcet.synthetic.voices import MANNERS, Voice, speak
from dcet.training.corpora.sounds import SOUNDS
from dcet.training.speech.silero import Silero
from dcet.training.speech.unvoiced import draw_unvoiced

DEV_MEETINGS = ("trn08", "trn09")
DEV_EVERY = 4  # of the files of noises
BEFORE = 16 * HOP_SAMPLES  # of silence, for a teacher who has just been switched on
NO_VOICE = 0.5  # a noise in which the teacher is never surer than this holds no voice
PART = 8 * SAMPLE_RATE_HZ  # a long noise is judged in parts
SYNTHETIC = 160
SEEDS, MADE = {"train": 0, "dev": 1}, {"train": 600, "dev": 60}
SAID = ("I did not think that it would be so easy to do.", "Well, what are you going to do now?")


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A recording at 16 kHz, and where a voice sounds in it."""

    pcm: Floats  # (hops * 512,)
    voice: Floats  # (hops,) from 0 to 1, NaN where it is not known


@dataclass(frozen=True, slots=True, eq=False)
class Recordings:
    """All that examples are mixed of."""

    voices: Sequence[Sequence[Sound]]  # by corpus
    noises: Sequence[Floats]  # (n,) each, recorded, without a voice
    made: Sequence[Floats]  # the same, made by rule
    rooms: Sequence[Floats]  # responses, (n,) each


def read_recordings(data: Path, teacher: Silero, split: str) -> Recordings:
    """Read `split` of ami, ravdess, emogator and noise_rooms, all in the folder `data`.

    Raises DataError, or MissingExtra.
    """
    noises, rng = data / "noise_rooms", np.random.default_rng(SEEDS[split])
    return Recordings(
        voices=(
            [said(read_mono(file), teacher) for file in meetings(data / "ami", split)],
            [said(pcm, teacher) for pcm in _clips(data / "ravdess", split)],
            [burst(pcm) for pcm in _clips(data / "emogator", split)],
            synthetic_voices(rng),
        ),
        noises=list(_without_voice(noises, split, teacher)),
        made=[draw_unvoiced(PART, rng) for _ in range(MADE[split])],
        rooms=[_response(read_mono(file)) for file in files_in(noises / "rir")],
    )


def files_in(folder: Path) -> list[Path]:
    """List the sounds in a folder, by name. Raises DataNotFound where there is none."""
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SOUNDS)
    if not files:
        raise DataNotFound(
            f"{folder}: expected {', '.join(SOUNDS)} files, got none; give another --data"
        )
    return files


def meetings(folder: Path, split: str) -> list[Path]:
    """List the meetings of a split. Raises DataNotFound."""
    return [file for file in files_in(folder) if (file.stem in DEV_MEETINGS) == (split == "dev")]


def said(pcm: Floats, teacher: Silero) -> Sound:
    """Label speech by the teacher, who first hears half a second of silence."""
    pcm = _whole_hops(pcm)
    heard = teacher.probabilities(np.concatenate([np.zeros(BEFORE, np.float32), pcm]))
    return Sound(pcm, heard[BEFORE // HOP_SAMPLES :])


def burst(pcm: Floats) -> Sound:
    """Label a voice that is alone by its energy: not known where it is neither loud nor quiet."""
    pcm = _whole_hops(pcm)
    power = np.square(pcm.reshape(-1, HOP_SAMPLES)).mean(axis=1)
    db = 10 * np.log10(power + 1e-9)
    top, low = db.max(), db.min()
    voice = np.full(len(db), np.nan, np.float32)
    voice[db > max(top - 25, (top + low) / 2)] = 1
    if top - low > 15:
        voice[db < max(top - 45, low + (top - low) / 5)] = 0
    return Sound(pcm, voice)


def synthetic_voices(rng: np.random.Generator) -> list[Sound]:
    """Make voices by rule, as DCET's demo, benchmarks and golden sequences have them."""
    made = []
    for number in range(SYNTHETIC):
        if number % 2:
            pcm = probes.speech(3.0, seed=int(rng.integers(2**31)))
        else:
            voice = Voice(pitch_hz=rng.uniform(90, 240), formants=rng.uniform(0.9, 1.2))
            pcm = speak(str(rng.choice(SAID)), str(rng.choice(list(MANNERS))), voice, rng)
        made.append(burst(pcm))
    return made


def _clips(folder: Path, split: str) -> Iterator[Floats]:
    for row in read_labels(folder, split, FILE):
        yield read_mono(path_inside(folder, row.text("file"), row.where))


def _without_voice(folder: Path, split: str, teacher: Silero) -> Iterator[Floats]:
    """Yield the noises of a split, but for those with somebody speaking far away."""
    files = [file for file in files_in(folder) if file.parent.name != "rir"]
    for place, file in enumerate(files):
        if (place % DEV_EVERY == DEV_EVERY - 1) != (split == "dev"):
            continue
        pcm = read_mono(file)
        for start in range(0, len(pcm), PART):
            part = pcm[start : start + PART]
            if teacher.probabilities(part).max(initial=0.0) < NO_VOICE:
                yield part


def _response(pcm: Floats) -> Floats:
    """Begin a room's response with the sound that comes straight, and give it a power of 1."""
    begun = pcm[int(np.abs(pcm).argmax()) :]
    unit: Floats = (begun / np.sqrt(np.square(begun).sum())).astype(np.float32)
    return unit


def _whole_hops(pcm: Floats) -> Floats:
    return np.pad(pcm, (0, -len(pcm) % HOP_SAMPLES))
