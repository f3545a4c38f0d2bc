"""Events are what docs/events.schema.json says."""

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest

from dcet.live import Event, LiveSession
from dcet.runtime import Bundle
from tests.live.scenes import push, sound, taken

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "events.schema.json").read_text(encoding="utf-8")
)


def test_every_event_fits_the_schema(hearing: Bundle) -> None:
    session = LiveSession(hearing, threaded=False)
    push(session, sound(4, [(1, 2.5)]))
    session.flush()
    session.push_text("i am happy", 1_000_000, 2_500_000)
    session.turn("Ann", "")
    with LiveSession(hearing, deadline_ms=1000) as other:
        timed = other.turn("Ann", "i am happy")
    assert timed.deadline_us == timed.end_us + 1_000_000
    events = [*taken(session), timed]
    assert {event.kind for event in events} == {"interim", "final", "revised"}
    assert "missing" in {event.status for event in events}
    for event in events:
        jsonschema.validate(json.loads(json.dumps(event.as_dict())), SCHEMA)


def test_the_schema_names_what_an_event_has() -> None:
    names = {field.name for field in dataclasses.fields(Event)}
    assert names == set(SCHEMA["required"]) == set(SCHEMA["properties"])


@pytest.mark.parametrize(
    "wrong", [{"kind": "last"}, {"seq": 0}, {"estimate": None}, {"start_us": 2**53}]
)
def test_the_schema_refuses(hearing: Bundle, wrong: dict[str, object]) -> None:
    with LiveSession(hearing, threaded=False) as session:
        event = session.turn("Ann", "i am happy")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event.as_dict() | wrong, SCHEMA)
