"""The page of a session, and the record that it is made from."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dcet.live.events import SeenFace, SeenFaces
from dcet.live.show.page import render_page
from dcet.live.show.record import APART_US, Record
from dcet.live.show.scene import Scene
from dcet.live.show.timeline_svg import clock, lanes
from tests.live.made_events import estimate, event

STREAMS = ("samples", "frames", "texts", "turns")
COUNTERS = {name: {"received": 1234, "used": 1230, "dropped": 4} for name in STREAMS} | {
    "notes": {"frames dropped: a newer one came": 4}
}


class Tags(HTMLParser):
    """The tags that are open, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "line"):
            self.open.append(tag)
        for name, value in attrs:
            assert name not in ("src", "href"), f"{tag} is fetched from {value}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(pts_us: int, *faces: tuple[int, str | None]) -> SeenFaces:
    found = (
        SeenFace(track_id=number, box=(1.0, 2.0, 30.0, 40.0), score=0.9, speaker=name)
        for number, name in faces
    )
    return SeenFaces(track="camera", pts_us=pts_us, faces=tuple(found))


def recorded() -> Record:
    record, scene = Record(), Scene()
    events = [
        event(1, {"joy": 0.7}, kind="interim"),
        event(1, {"joy": 0.7}),
        event(
            2, {"anger": 0.8}, speaker="<b>Ben</b>", text="R&D <script>", left_out=("face: late",)
        ),
        event(3, None, speaker="unknown"),
        event(4, {"anger": 0.9}, status="late"),
        event(4, {"anger": 0.95}, kind="revised", revision=1, text="stop it"),
        replace(event(5, {"fear": 0.3}), estimate=estimate({"fear": 0.3}, abstains="0.2 is below")),
    ]
    for each in events:
        record.hear(each, scene.hear(each))
    for pts_us in range(0, 20_000_000, 200_000):
        around = [(1, "Ann"), (2, None)] if pts_us < 6_000_000 or pts_us > 12_000_000 else []
        record.see(seen(pts_us, *around))
    return record


def test_everything_that_happened_is_on_the_page() -> None:
    page = render_page(
        recorded(), title="a & b.mp4", lead="Followed.", counters=COUNTERS, notes=["3 packets lost"]
    )
    tags = Tags(page)
    assert tags.open == []
    for told in (
        "a & b.mp4", "<b>Ben</b>", "R&D <script>", "stop it", "unknown", "no estimate", "face 2",
        "late", "revised", "face: late", "abstains: 0.2 is below", "joy → anger", "3 packets lost",
        "1,234", "frames dropped: a newer one came",
        "5 turns of 3 people, and 1 face of somebody who was not heard",
    ):  # fmt: skip
        assert told in tags.text, told
    assert "<script" not in page


def test_a_session_in_which_nothing_happened_has_a_page() -> None:
    page = render_page(Record(), title="silence.wav", lead="Followed.", counters={"notes": {}})
    tags = Tags(page)
    assert tags.open == []
    assert "Nobody was heard, and no face was seen." in tags.text


def test_a_revised_turn_is_one_turn_and_an_interim_is_none() -> None:
    record = recorded()
    assert record.interims == 1
    assert sorted(record.turns) == [1, 2, 3, 4, 5]
    assert record.turns[4].kind == "revised"
    assert record.finals[4].status == "late", "that it was late is not forgotten"
    assert [
        (change.before, change.now) for change in record.changes if change.speaker == "Ann"
    ] == [
        (None, "joy"),
        ("joy", "anger"),
    ]


def test_faces_lie_in_the_lane_of_their_person_while_they_are_in_view() -> None:
    record = recorded()
    by_name = {name: spans_us for name, _, spans_us in lanes(record)}
    assert by_name["Ann"] == by_name["face 2"] == [(0, 5_800_000), (12_200_000, 19_800_000)]
    assert by_name["<b>Ben</b>"] == []


def test_a_record_does_not_grow_with_frames_or_interims() -> None:
    record, scene = Record(), Scene()
    for number in range(5000):
        record.see(seen(number * APART_US // 5, (1, "Ann")))
        each = event(number, {"joy": 0.7}, kind="interim", turn_id=1)
        record.hear(each, scene.hear(each))
    assert len(record.presences[1].spans_us) == 1
    assert [name for name, *_ in lanes(record)] == ["face 1"]
    assert record.turns == {}


def test_what_a_finder_takes_for_a_face_for_a_moment_has_no_lane() -> None:
    record = recorded()
    record.see(seen(20_000_000, (3, None)))
    record.see(seen(20_200_000, (3, None)))
    assert "face 3" not in [name for name, *_ in lanes(record)]


@pytest.mark.parametrize("minutes", [0.05, 5, 480])
def test_a_timeline_of_any_length_is_drawn_inside_its_frame(minutes: float) -> None:
    record = Record()
    end_us = round(minutes * 60e6)
    record.hear(event(1, {"joy": 0.7}, start_us=end_us - 1_000_000, end_us=end_us), None)
    page = render_page(record, title="long", lead="", counters={"notes": {}})
    width = float(re.search(r'<svg width="(\d+)"', page)[1])  # type: ignore[index]
    places = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', page)]
    assert max(places) < width
    assert page.count('class="grid"') < 3000


@pytest.mark.parametrize(
    ("time_us", "told"),
    [(0, "0:00"), (62_540_000, "1:02.5"), (3_600_000_000, "1:00:00"), (59_960_000, "0:59.9")],
)
def test_times_are_as_people_write_them(time_us: int, told: str) -> None:
    assert clock(time_us) == told


def test_a_confidence_reads_as_the_reason_to_abstain_does() -> None:
    record = Record()
    said = estimate({"joy": 0.36}, confidence=0.3577, abstains="confidence 0.35 is below 0.4")
    record.hear(event(1, {"joy": 0.36}, status="abstain", estimate=said), None)
    page = render_page(record, title="one", lead="", counters={"notes": {}})
    assert '<td class="number">35%</td>' in page


@pytest.mark.parametrize(("turns", "said"), [(3, "slowest 293.0 ms"), (100, "99 of 100 within")])
def test_one_of_a_hundred_is_told_of_a_hundred(turns: int, said: str) -> None:
    record = Record()
    for seq in range(1, turns + 1):
        total_ms = 290.0 + seq % 4 if seq < turns else 293.0
        record.hear(event(seq, {"joy": 0.7}, latency_ms={"total": total_ms}), None)
    assert said in render_page(record, title="some", lead="", counters={"notes": {}})
