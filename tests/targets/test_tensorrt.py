"""Every row of the tables of TensorRT operators can be read by the lint, and has its source."""

import re

import pytest

from dcet.targets import TensorrtRange
from dcet.targets.tensorrt import Operator, operators, parsers

EVERY = TensorrtRange(min="10.1", max="99")
ROWS = [row for rows in operators(EVERY).values() for row in rows]
RULE = re.compile(r"constant|zeros|ones|absent|rank \d|\d or \d long|one of [\w|]+")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.operator} {row.versions}")
def test_every_row_can_be_read(row: Operator) -> None:
    assert re.fullmatch(r"\d+\.\d+-(\d+(\.\d+)?)?", row.versions)
    assert row.source.startswith("https://")
    assert bool(row.types) == row.supported
    assert set(row.types) <= set("FP32 FP16 BF16 FP8 INT4 INT8 INT32 INT64 UINT8 BOOL".split())
    assert all(subject == "note" or RULE.fullmatch(rule) for subject, rule in row.limits)


def test_the_table_is_that_of_10_1_and_what_was_added_since() -> None:
    table = operators(EVERY)
    assert len(table) == 196
    assert not table["DFT"][0].supported
    assert [(row.versions, row.supported) for row in table["STFT"]] == [
        ("10.1-10.4", False),
        ("10.5-", True),
    ]
    assert [row.limits for row in table["Slice"]] == [(("axes", "constant"),), ()]


@pytest.mark.parametrize(
    ("least", "most", "supported"),
    [("10.3", "10", [False, True]), ("10.13", "11", [True]), ("10.1", "10.4", [False])],
)
def test_rows_are_those_of_the_range(least: str, most: str, supported: list[bool]) -> None:
    rows = operators(TensorrtRange(min=least, max=most))["STFT"]
    assert [row.supported for row in rows] == supported


@pytest.mark.parametrize(
    ("least", "most", "opsets"), [("10.3", "10", [20, 20]), ("10.13", "11", [20, 25])]
)
def test_parsers_end_at_an_operator_set(least: str, most: str, opsets: list[int]) -> None:
    rows = parsers(TensorrtRange(min=least, max=most))
    assert [row.opset_max for row in rows] == opsets
    assert {row.opset_min for row in rows} == {9}
    assert all(row.source.startswith("https://") for row in rows)
