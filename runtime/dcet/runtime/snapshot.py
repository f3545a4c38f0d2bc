"""What a memory consists of, as facts and arrays: taken out of one, and put into another."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.arrays import Floats
from dcet.runtime.bundle.manifest import Owner
from dcet.runtime.errors import InputError, SavedMemoryDamaged
from dcet.runtime.memory import POINT, TRAJECTORY_TURNS, UNKNOWN_TIME_US, Arena, Index
from dcet.runtime.options import Options, is_whole
from dcet.runtime.senses.appearance import LOOK_WIDTH
from dcet.runtime.trajectory import EARLIER
from dcet.runtime.turn import check_speaker
from dcet.runtime.whole_memory import Memory

Facts = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]

MOST = 2**53  # of what counts up
FACE = {"face_place": 3, "face_look": LOOK_WIDTH}  # of a slot; not taken along with a speaker
MAYBE_NAN = {"trajectory/shift", "trajectory/confidence"}


def options_of(facts: Facts) -> dict[str, Any]:
    """Return the options of the conversation that was saved. Raises SavedMemoryDamaged."""
    options = facts.get("options")
    if not isinstance(options, dict) or {*options} != {each.name for each in fields(Options)}:
        raise _impossible("its options")
    return options


def take(memory: Memory) -> tuple[Facts, Arrays]:
    """Take a copy of all that is remembered. What is spare, and only holds traces, is not in it."""
    arena, index = memory.arena, memory.arena.index
    facts = {
        "speakers": [*index.slots],
        "turns": index.turns,
        "numbers": index.numbers,
        "has_evicted": index.has_evicted,
    }
    places = [*index.slots.values()]
    arrays = _take_slots(arena, places)
    arrays["slot/number"] = arena.block["slots"]["number"][places]
    for part in FACE:
        arrays[f"slot/{part}"] = arena.block["slots"][part][places].astype(np.float32)
    scene = _read(arena, "scene", index.scene)
    arrays |= {f"scene/{name}": array for name, array in scene.items()}
    if memory.bank is not None:
        arrays |= {f"bank/{name}": array for name, array in memory.bank.read().items()}
    return facts, arrays


def put(memory: Memory, facts: Facts, arrays: Arrays) -> None:
    """Put what was taken into a new memory of the same bundle and options.

    Raises SavedMemoryDamaged for what cannot have been taken.
    """
    arena, bank = memory.arena, memory.bank
    names = _names(facts)
    count = len(names)
    expected: dict[str, tuple[int, ...]] = _slot_shapes(arena, count)
    expected |= {"slot/number": (count,)}
    expected |= {f"slot/{part}": (count, width) for part, width in FACE.items()}
    expected |= {f"scene/{pair.input}": pair.shape for pair in arena.pairs if pair.per == "scene"}
    episodes = _part(arrays, "bank")
    if bank is not None:
        shapes = bank.shapes(len(episodes.get("rows", ())))
        expected |= {f"bank/{name}": shape for name, shape in shapes.items()}
    _check_arrays(arrays, expected)
    index = Index(
        slots={name: place for place, name in enumerate(names)},
        spare=count,
        turns=_count(facts, "turns"),
        numbers=_count(facts, "numbers"),
        has_evicted=facts.get("has_evicted") is True,
    )
    if not isinstance(facts.get("has_evicted"), bool):
        raise _impossible("'has_evicted'")
    numbers = arrays["slot/number"].tolist()
    are_numbers = len(set(numbers)) == count and all(0 < each <= index.numbers for each in numbers)
    if count > arena.max_speakers or not are_numbers:
        raise _impossible("its speakers")
    if bank is not None and not bank.may_hold(episodes, numbers):
        raise _impossible("its episodes")
    for place in range(count):
        _put_slot(arena, place, arrays, place)
    arena.block["slots"]["number"][:count] = arrays["slot/number"]
    for part in FACE:
        arena.block["slots"][part][:count] = arrays[f"slot/{part}"]
    _write(arena, "scene", index.scene, _part(arrays, "scene"))
    arena.index = index
    if bank is not None:
        bank.write(episodes)


def take_speaker(memory: Memory, speaker: str) -> tuple[Facts, Arrays]:
    """Take a copy of what is remembered of one speaker: nothing of the scene, where in it their
    face was, or when their turns were. Raises UnknownSpeaker."""
    arena = memory.arena
    said = len(arena.trajectory(speaker).turns)
    arrays = _take_slots(arena, [arena.index.slots[speaker]])
    arrays["trajectory/turn"][:] = EARLIER
    arrays["trajectory/time_us"][:, :said] = UNKNOWN_TIME_US
    arrays["trajectory/time_us"][:, said:] = 0
    if memory.bank is not None:
        theirs = memory.bank.read(arena.number(speaker))
        arrays |= {f"bank/{name}": theirs[name] for name in ("keys", "values")}
    return {"speakers": [speaker]}, arrays


def put_speaker(memory: Memory, facts: Facts, arrays: Arrays, name: str | None) -> str:
    """Put a speaker that was taken into a memory in which they are not; return their name there.

    name: another than they had

    Their episodes are left out where there is no bank, and the oldest of them where it has no room.
    Raises InputError where the name or all places are taken, SavedMemoryDamaged for what cannot
    have been taken. The memory is as it was then.
    """
    arena, bank = memory.arena, memory.bank
    names = _names(facts)
    expected = _slot_shapes(arena, 1)
    episodes = _part(arrays, "bank")
    if bank is not None and episodes:
        shapes = bank.shapes(len(episodes.get("keys", ())))
        expected |= {f"bank/{part}": shapes[part] for part in ("keys", "values")}
    _check_arrays({at: arrays[at] for at in arrays if bank or not at.startswith("bank/")}, expected)
    if len(names) != 1:
        raise _impossible("its speakers")
    speaker = names[0] if name is None else check_speaker(name)
    if speaker in arena.index.slots:
        raise InputError(
            f"expected a speaker who is not here yet, got {speaker!r}; forget them first, or give "
            "name=… for another name"
        )
    if len(arena.index.slots) == arena.max_speakers:
        raise InputError(
            f"expected room for one more speaker, got {arena.max_speakers}, the most there may be; "
            "forget one, or make the conversation with a larger max_speakers"
        )
    index = arena.following(speaker, turns=0)
    arena.block["slots"][arena.index.spare] = 0
    _put_slot(arena, arena.index.spare, arrays, 0)
    arena.block["slots"]["number"][arena.index.spare] = index.numbers
    rows = None if bank is None else bank.rows
    if bank is not None and episodes:
        rows = bank.draft_all(index.numbers, episodes)
    return memory.keep(index, rows, speaker)


def _take_slots(arena: Arena, places: Sequence[int]) -> dict[str, NDArray[Any]]:
    slots = arena.block["slots"][places]
    arrays = {"slot/turns": slots["turns"].copy()}
    arrays |= {f"trajectory/{name}": slots["trajectory"][name].copy() for name in _fields()}
    read = [_read(arena, "speaker", place) for place in places]
    for pair in arena.pairs:
        if pair.per == "speaker":
            stacked = np.array([states[pair.input] for states in read], np.float32)
            arrays[f"state/{pair.input}"] = stacked.reshape(len(places), *pair.shape)
    return arrays


def _put_slot(arena: Arena, place: int, arrays: Arrays, row: int) -> None:
    """Put one row of what `_take_slots` took into a slot."""
    slot = arena.block["slots"][place]
    slot["turns"] = arrays["slot/turns"][row]
    for name in _fields():
        slot["trajectory"][name] = arrays[f"trajectory/{name}"][row]
    states = {name: array[row] for name, array in _part(arrays, "state").items()}
    _write(arena, "speaker", place, states)


def _slot_shapes(arena: Arena, count: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"slot/turns": (count,)}
    for name in _fields():
        shapes[f"trajectory/{name}"] = (count, TRAJECTORY_TURNS, *POINT[name].shape)
    for pair in arena.pairs:
        if pair.per == "speaker":
            shapes[f"state/{pair.input}"] = (count, *pair.shape)
    return shapes


def _read(arena: Arena, per: Owner, place: int) -> dict[str, Floats]:
    """Return a copy of the states of a speaker's slot, or the scene's."""
    record = arena.block["slots" if per == "speaker" else "scenes"][place]
    states = {pair.input: np.copy(record[pair.input]) for pair in arena.on_host if pair.per == per}
    return states if arena.device is None else states | arena.device.read(per, place)


def _write(arena: Arena, per: Owner, place: int, states: Mapping[str, Floats]) -> None:
    record = arena.block["slots" if per == "speaker" else "scenes"][place]
    for pair in arena.on_host:
        if pair.per == per:
            record[pair.input] = states[pair.input]
    if arena.device is not None:
        arena.device.write(per, place, states)


def _fields() -> tuple[str, ...]:
    assert POINT.names is not None
    return POINT.names


def _part(arrays: Arrays, part: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of this part, by what follows its name."""
    inside = f"{part}/"
    return {name.removeprefix(inside): arrays[name] for name in arrays if name.startswith(inside)}


def _check_arrays(arrays: Arrays, expected: Mapping[str, tuple[int, ...]]) -> None:
    whole = {"slot/number", "slot/turns", "trajectory/turn", "trajectory/time_us"}
    whole |= {"bank/rows", "bank/speakers"}
    if {name: array.shape for name, array in arrays.items()} != expected:
        raise _impossible("the shapes of its arrays")
    for name, array in arrays.items():
        if array.dtype != (np.int64 if name in whole else np.float32):
            raise _impossible(f"the type of {name}")
        if name not in MAYBE_NAN and not np.isfinite(array).all():
            raise _impossible(f"{name}, which is not finite,")
    turns = arrays["slot/turns"]
    if not ((turns >= 1) & (turns < MOST)).all():
        raise _impossible("the number of turns")


def _names(facts: Facts) -> list[str]:
    """Return the names of the speakers."""
    names = facts.get("speakers")
    if not isinstance(names, list) or len({*map(str, names)}) < len(names):
        raise _impossible("the names of its speakers")
    for name in names:
        try:
            is_kept = check_speaker(name) == name
        except InputError as error:
            raise _impossible("the names of its speakers") from error
        if not is_kept:
            raise _impossible("the names of its speakers")
    return names


def _count(facts: Facts, name: str) -> int:
    value = facts.get(name)
    if not is_whole(value) or not 0 <= value < MOST:  # type: ignore[operator]
        raise _impossible(f"{name!r}")
    return int(value)  # type: ignore[arg-type]


def _impossible(what: str) -> SavedMemoryDamaged:
    return SavedMemoryDamaged(
        f"expected what a conversation on this bundle remembers, but {what} cannot be of one; "
        "the file was made or changed by something else"
    )
