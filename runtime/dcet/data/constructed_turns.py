"""Constructed conversations as a folder of labelled turns, to calibrate and compare models on."""

from pathlib import Path

import numpy as np

from dcet.data.constructed import CONSTRUCTED, ConstructedTurn, construct, read_material
from dcet.data.turns import TABLE, LabelledTurn, Turns
from dcet.data.write_turns import write_turns
from dcet.runtime.errors import ConfigError

ABOUT = f"""Labelled turns for DCET, written by: dcet-train turns

Split {{split}}, {{dialogues}} dialogues, seed {{seed}}: {{turns}} turns.

{CONSTRUCTED}.
A figure on it compares models with each other and is no accuracy in the world.

Licences: MELD is GPL-3.0, RAVDESS CC BY-NC-SA 4.0, the faces of FER+ are for research only. Do not
pass this folder on.
"""


def write_constructed_turns(
    data: Path, split: str, output: Path, *, dialogues: int, seed: int
) -> Turns:
    """Write conversations of `meld`, `ravdess` and `ferplus` in `data` as one set.

    A set that is at `output` already is replaced. Raises ConfigError where `output` is anything
    else; DataError, WriteError.
    """
    if output.exists() and not (output / TABLE).is_file():
        raise ConfigError(
            f"{output}: expected no such folder, or one of labelled turns to replace, got "
            "something else; name another --output"
        )
    conversations = construct(read_material(data, split), dialogues, seed)
    turns = Turns(
        output.resolve().name,
        {f"dialogue {n}": tuple(map(_turn, part)) for n, part in enumerate(conversations, start=1)},
    )
    about = ABOUT.format(split=split, dialogues=len(conversations), seed=seed, turns=len(turns))
    write_turns(turns, output, about)
    return turns


def _turn(turn: ConstructedTurn) -> LabelledTurn:
    faces = [] if turn.faces is None else list(turn.faces)
    return LabelledTurn(
        speaker=turn.speaker,
        emotion=turn.emotion,
        text=turn.text,
        audio=None if turn.audio is None else np.round(turn.audio * 2**15).astype(np.int16),
        faces=tuple(np.repeat(face[..., None], 3, axis=2) for face in faces),
    )
