"""The long-term bank of a conversation: what left a speaker's ring, found when it is like now.

An episode is an answered turn: the value is the fused utterance, as the step pushed it to the
speaker's ring, and the key is what the turn was recognised by, its features. The step is given the
episodes of the same speaker whose keys have the largest inner product with the key of this turn;
those still in the ring are not among them. Nobody is reminded of what another person said, so that
forgetting a speaker takes all that the bank could still say of them.

Like the arena, the bank is a block that is allocated once, with one row to spare: `draft` writes to
it, and what it wrote counts once `rows` says so. When rows run out, the oldest episode makes room.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import Manifest, Modality, StatePair
from dcet.runtime.errors import ConfigError
from dcet.runtime.extras import need
from dcet.runtime.labels import MODALITIES

MAX_BANK_BYTES = 2**30
RING = "speaker_ring"  # the state whose last entry is the fused utterance
EPISODES, MASK = "episodes", "episodes_mask"  # inputs of the step
_SMALLEST_NORM = 1e-12


class Bank:
    """Episodes of all speakers in at most `limit_bytes`, searched by exact inner product (FAISS).

    Raises ConfigError where the bound has no room for an episode beyond a full ring, or the step
    does not take episodes; MissingExtra.
    """

    def __init__(self, manifest: Manifest, limit_bytes: int) -> None:
        self._modalities = manifest.modalities
        self._episodes_shape, ring = _places(manifest)
        self._ring_turns, self._ring_output = ring.shape[1], ring.output
        key_width = sum(manifest.modalities[name].width for name in MODALITIES)
        width = self._episodes_shape[2]
        row_bytes = (key_width + width) * 4 + 8
        # A full ring, an episode, and the row to spare.
        least_bytes = (self._ring_turns + 2) * row_bytes
        if not least_bytes <= limit_bytes <= MAX_BANK_BYTES:
            raise ConfigError(
                f"bank_bytes: expected 0 for no bank, or from {least_bytes:,}, which it takes to "
                f"find one episode again, to {MAX_BANK_BYTES:,}; got {limit_bytes:,}"
            )
        self.limit_bytes = limit_bytes
        count = limit_bytes // row_bytes
        self._faiss = need("faiss", extra="memory")
        self._index = self._faiss.IndexFlatIP(key_width)
        self._index.add(np.zeros((count, key_width), np.float32))
        storage = self._faiss.rev_swig_ptr(self._index.get_xb(), count * key_width)
        self._keys: Floats = storage.reshape(count, key_width)  # what the index holds, no copy
        self._values = np.zeros((count, width), np.float32)
        self._speakers = np.zeros(count, np.int64)  # by number; 0: the row is blank
        self.rows: NDArray[np.int64] = np.zeros(0, np.int64)  # that count, oldest first

    def recall(self, speaker: int, features: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return the step's inputs of this speaker's episodes that are most like a turn of these
        features, best first.

        speaker: the number of the one who speaks
        """
        episodes = np.zeros(self._episodes_shape, np.float32)
        mask = np.zeros(self._episodes_shape[:2], np.float32)
        theirs = self.rows[self._speakers[self.rows] == speaker][: -self._ring_turns]
        if len(theirs):
            key = episode_key(self._modalities, features)
            among = self._faiss.SearchParameters(sel=self._faiss.IDSelectorBatch(theirs))
            _, found = self._index.search(key[None], mask.shape[1], params=among)
            places = found[0][: len(theirs)]  # where there are fewer, the rest is -1
            episodes[0, : len(places)] = self._values[places]
            mask[0, : len(places)] = 1
        return {EPISODES: episodes, MASK: mask}

    def draft(
        self,
        speaker: int,
        features: Mapping[str, Floats],
        outputs: Mapping[str, Floats],
        evicted: int,
    ) -> NDArray[np.int64]:
        """Write a turn of `speaker` to a spare row; return the rows of which it is one.

        outputs: of the step; evicted: the number of who made room for the speaker, or 0
        """
        self._wipe()
        is_spare = np.ones(len(self._speakers), bool)
        is_spare[self.rows] = False
        row = int(is_spare.argmax())
        self._keys[row] = episode_key(self._modalities, features)
        self._values[row] = outputs[self._ring_output][0, -1]
        self._speakers[row] = speaker
        rows = self.rows[self._speakers[self.rows] != evicted]
        return np.append(rows, row)[1 - len(self._speakers) :]

    def read(self, speaker: int | None = None) -> dict[str, NDArray[Any]]:
        """Return the episodes of a speaker, by number, or of all, oldest first: where they are
        (`rows`), whose (`speakers`), `keys` and `values`."""
        rows = self.rows if speaker is None else self.rows[self._speakers[self.rows] == speaker]
        return {
            "rows": rows,
            "speakers": self._speakers[rows],
            "keys": self._keys[rows],
            "values": self._values[rows],
        }

    def shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what `read` returns of so many episodes."""
        return {
            "rows": (count,),
            "speakers": (count,),
            "keys": (count, self._keys.shape[1]),
            "values": (count, self._values.shape[1]),
        }

    def may_hold(self, episodes: Mapping[str, NDArray[Any]], speakers: Collection[int]) -> bool:
        """Tell whether these, of the right shapes, may be all episodes of a bank of this size."""
        rows, count = episodes["rows"], len(self._speakers)
        return (
            len(np.unique(rows)) == len(rows) < count
            and bool(((rows >= 0) & (rows < count)).all())
            and bool(np.isin(episodes["speakers"], list(speakers)).all())
        )

    def write(self, episodes: Mapping[str, NDArray[Any]]) -> None:
        """Put all episodes of a bank of this size in the place of those here, to the same rows."""
        self.reset()
        self._put(episodes["rows"], episodes, episodes["speakers"])
        self.rows = episodes["rows"]

    def draft_all(self, speaker: int, episodes: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Write episodes of a speaker who has none, the last that there is room for, to spare rows;
        return the rows of which they are some."""
        self._wipe()
        is_spare = np.ones(len(self._speakers), bool)
        is_spare[self.rows] = False
        (spare,) = np.nonzero(is_spare)
        count = min(len(episodes["keys"]), len(spare) - 1)
        last = {name: array[len(array) - count :] for name, array in episodes.items()}
        self._put(spare[:count], last, np.full(count, speaker))
        return np.append(self.rows, spare[:count])

    def _put(
        self,
        rows: NDArray[np.int64],
        episodes: Mapping[str, NDArray[Any]],
        speakers: NDArray[np.int64],
    ) -> None:
        self._keys[rows] = episodes["keys"]
        self._values[rows] = episodes["values"]
        self._speakers[rows] = speakers

    def forget(self, speaker: int) -> None:
        """Zero all episodes of this speaker, and what is left of those that no longer count."""
        self.rows = self.rows[self._speakers[self.rows] != speaker]
        self._wipe()

    def reset(self) -> None:
        """Zero everything."""
        self.rows = self.rows[:0]
        self._wipe()

    def _wipe(self) -> None:
        """Zero the rows that do not count and hold something."""
        left = self._speakers != 0
        left[self.rows] = False
        self._keys[left] = 0
        self._values[left] = 0
        self._speakers[left] = 0


def episode_key(modalities: Mapping[str, Modality], features: Mapping[str, Floats]) -> Floats:
    """Return what a turn is recognised by: its features, [text, mean audio, mean face].

    Each modality is scaled to unit length, zeros where it is absent, and so is the whole, so that
    the inner product of two keys is their cosine.
    """
    parts = []
    for name in MODALITIES:
        array = features.get(name, np.zeros(modalities[name].width, np.float32))
        parts.append(_unit(array if array.ndim == 1 else array.mean(axis=0)))
    return _unit(np.concatenate(parts))


def _unit(vector: Floats) -> Floats:
    length = max(float(np.linalg.norm(vector)), _SMALLEST_NORM)
    return (vector / length).astype(np.float32)


def _places(manifest: Manifest) -> tuple[tuple[int, ...], StatePair]:
    """Return the shape of the step's episodes, and the state that is a speaker's ring."""
    inputs = {tensor.name: tensor.shape for tensor in manifest.graphs["step"].inputs}
    ring = next((pair for pair in manifest.state if pair.input == RING), None)
    if EPISODES not in inputs or MASK not in inputs or ring is None:
        raise ConfigError(
            f"bank_bytes: expected a bundle whose step takes {EPISODES}, {MASK} and {RING}, this "
            "one does not; open the conversation without a bank"
        )
    return tuple(map(int, inputs[EPISODES])), ring
