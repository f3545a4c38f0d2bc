"""Reading MELD-style CSV: what is in it, and every way it can be wrong."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from dcet.data.meld import Dialogue, Utterance, read_meld
from dcet.data.metrics import shift_labels
from dcet.runtime import errors
from dcet.runtime.labels import EMOTIONS

HEADER = "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"
SPLITS = ("train", "dev")
GOOD = "I am glad.,Ada,joy,positive,0,0"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "dev.csv"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_turn_holds_what_its_row_says(csv: Path) -> None:
    (dialogue,) = read_meld(write(csv, "Why?,Ben,SURPRISE, negative ,7,0"))
    (turn,) = dialogue.turns
    assert dialogue.id == "7"
    assert (turn.speaker, turn.text, turn.row) == ("Ben", "Why?", 0)
    assert (EMOTIONS[turn.emotion], turn.sentiment) == ("surprise", -1)


def test_turns_are_ordered_by_number_and_keep_their_row(csv: Path) -> None:
    rows = [f"turn {n},Ada,joy,positive,{d},{n}" for d, n in ((5, 10), (2, 0), (5, 9), (5, 2))]
    dialogues = read_meld(write(csv, *rows))
    assert [dialogue.id for dialogue in dialogues] == ["5", "2"]
    assert [turn.text for turn in dialogues[0].turns] == ["turn 2", "turn 9", "turn 10"]
    assert [turn.row for turn in dialogues[0].turns] == [3, 2, 0]


def test_other_columns_and_their_order_do_not_matter(csv: Path) -> None:
    columns = "Season,Utterance_ID,Dialogue_ID,Sentiment,Emotion,Speaker,Utterance"
    write(csv, '4,0,0,neutral,neutral,Ada,"Well, fine."', header=columns)
    assert read_meld(csv)[0].turns[0].text == "Well, fine."


def test_byte_order_mark_is_no_part_of_the_first_column(csv: Path) -> None:
    csv.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n{GOOD}\r\n".encode())
    assert read_meld(csv)[0].turns[0].text == "I am glad."


def test_windows_1252_leftovers_become_text(csv: Path) -> None:
    (dialogue,) = read_meld(write(csv, "It\x92s \x93me\x94\x85,Ada,joy,positive,0,0"))
    assert dialogue.turns[0].text == 'It\'s "me"…'


def test_a_name_is_one_speaker_however_its_accents_are_encoded(csv: Path) -> None:
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    rows = [f"hi,{name},joy,positive,0,{number}" for number, name in enumerate(names)]
    dialogues = read_meld(write(csv, *rows))
    assert {turn.speaker for turn in dialogues[0].turns} == {names[0]}
    assert shift_labels(dialogues).tolist() == [-1, 0]


def test_line_breaks_inside_quotes_belong_to_the_utterance(csv: Path) -> None:
    (dialogue,) = read_meld(
        write(csv, '"one\ntwo",Ada,joy,positive,0,0', "Hm.,Ada,joy,positive,0,1")
    )
    assert dialogue.turns[0].text == "one two"


def test_no_rows_are_no_dialogues(csv: Path) -> None:
    assert read_meld(write(csv)) == []


@pytest.mark.parametrize("column", HEADER.split(","))
def test_missing_column_is_named(csv: Path, column: str) -> None:
    write(
        csv,
        GOOD,
        header=",".join("Other" if name == column else name for name in HEADER.split(",")),
    )
    with pytest.raises(errors.MissingColumn, match=f"columns {column} are missing.*Other"):
        read_meld(csv)


def test_empty_file_has_no_columns(csv: Path) -> None:
    csv.write_bytes(b"")
    with pytest.raises(errors.MissingColumn, match="got none"):
        read_meld(csv)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("Hm.,Ada,glee,positive,0,1", errors.UnknownLabel, "Emotion is 'glee'; .* anger, disgust"),
        ("Hm.,Ada,,positive,0,1", errors.UnknownLabel, "Emotion is ''"),
        ("Hm.,Ada,joy,good,0,1", errors.UnknownLabel, "Sentiment is 'good'; .* negative, neutral"),
        ("Hm.,Ada,joy", errors.UnknownLabel, "Sentiment is None"),
        (",Ada,joy,positive,0,1", errors.EmptyUtterance, "Utterance is empty"),
        (" \u00a0\x81 ,Ada,joy,positive,0,1", errors.EmptyUtterance, "Utterance is empty"),
        ("Hm.,Ada,joy,positive,0,one", errors.BadNumber, "Utterance_ID is 'one'; .* whole number"),
        ("Hm.,Ada,joy,positive,0,", errors.BadNumber, "Utterance_ID is ''"),
        ("Hm.,Ada,joy,positive,0,-1", errors.BadNumber, "Utterance_ID is '-1'"),
        ("Hm.,Ada,joy,positive,0,²", errors.BadNumber, "Utterance_ID is '²'"),
        ("Hm.,Ada,joy,positive,0," + "9" * 5_000, errors.BadNumber, "Utterance_ID is '999"),
    ],
)
def test_bad_row_is_named_with_its_line(
    csv: Path, row: str, error: type[errors.DataError], message: str
) -> None:
    write(csv, GOOD, row)
    with pytest.raises(error, match=f"dev.csv, line 3: {message}"):
        read_meld(csv)


def test_two_files_joined_into_one_are_not_woven_together(csv: Path) -> None:
    train = ["I won!,Ada,joy,positive,0,0", "No way.,Ben,surprise,neutral,0,1"]
    write(csv, *train, "Who died?,Eve,sadness,negative,0,0")
    message = (
        "line 4: utterance 0 of dialogue '0' is in line 2, too, as 'I won!', and here as "
        "'Who died.'; where two files were joined, give each dialogue a Dialogue_ID of its own"
    )
    with pytest.raises(errors.DuplicateTurn, match=message):
        read_meld(csv)


@pytest.mark.parametrize("place", ["0", " 0", "00"])
def test_a_row_that_is_there_twice_is_named(csv: Path, place: str) -> None:
    write(csv, GOOD, GOOD.removesuffix("0") + place)
    with pytest.raises(errors.DuplicateTurn, match="line 3: utterance 0 of dialogue '0' is in l"):
        read_meld(csv)


def test_the_same_numbers_in_two_dialogues_are_fine(csv: Path) -> None:
    dialogues = read_meld(write(csv, GOOD, GOOD.replace(",0,0", ",1,0")))
    assert [dialogue.id for dialogue in dialogues] == ["0", "1"]


def test_undecodable_bytes_are_named_with_line_and_offset(csv: Path) -> None:
    before = f"{HEADER}\n{GOOD}\nIt".encode()
    csv.write_bytes(before + b"\x92s,Ada,joy,positive,0,1\n")
    message = f"line 3: byte 0x92 at offset {len(before)} is not UTF-8; .* WINDOWS-1252"
    with pytest.raises(errors.UndecodableText, match=message):
        read_meld(csv)


def test_a_quote_that_is_never_closed_is_named(csv: Path) -> None:
    write(csv, GOOD, '"' + GOOD, *[GOOD] * 8_000)
    with pytest.raises(errors.MalformedTable, match=r"dev.csv, line \d+: field larger .* quote"):
        read_meld(csv)


def test_unicode_line_separators_end_no_row(csv: Path) -> None:
    texts = ["so\x85 yes", "so\u2028yes", "so\x0cyes", "so\x1cyes"]
    rows = [f"{text},Ada,joy,positive,0,{n}" for n, text in enumerate(texts)]
    (dialogue,) = read_meld(write(csv, *rows))
    assert [turn.text for turn in dialogue.turns] == ["so… yes", *["so yes"] * 3]
    write(csv, *rows, "Hm.,Ada,glee,positive,0,9")
    with pytest.raises(errors.UnknownLabel, match=f"line {len(rows) + 2}:"):
        read_meld(csv)


@pytest.mark.parametrize("kind", ["nothing", "folder"])
def test_what_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "absent.csv" if kind == "nothing" else tmp_path
    with pytest.raises(errors.DataNotFound, match=f"{path}: expected a CSV file"):
        read_meld(path)


def test_meld_itself_joined_is_named(csv: Path) -> None:
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there is no MELD to read")
    folder = Path(os.environ["DCET_DATA"], "meld")
    train, dev = (
        (folder / f"{split}_sent_emo.csv").read_text(encoding="utf-8") for split in ("train", "dev")
    )
    csv.write_text(train.rstrip("\n") + "\n" + dev.partition("\n")[2], encoding="utf-8")
    with pytest.raises(errors.DuplicateTurn, match=r"line 9991: .*joined"):
        read_meld(csv)


@pytest.mark.parametrize(
    ("split", "turns", "dialogues"), [("dev", 1_109, 114), ("train", 9_989, 1_038)]
)
def test_meld_itself(split: str, turns: int, dialogues: int) -> None:
    if "DCET_DATA" not in os.environ:
        pytest.skip("DCET_DATA is not set, so there is no MELD to read")
    read = read_meld(Path(os.environ["DCET_DATA"], "meld", f"{split}_sent_emo.csv"))
    assert len(read) == dialogues
    assert sorted(turn.row for turn in all_turns(read)) == list(range(turns))
    assert not any("\x80" <= letter < "\xa0" for turn in all_turns(read) for letter in turn.text)
    if split == "train":
        count = Counter(EMOTIONS[turn.emotion] for turn in all_turns(read))
        assert (count["fear"], count["disgust"]) == (268, 271)


def all_turns(dialogues: list[Dialogue]) -> list[Utterance]:
    return [turn for dialogue in dialogues for turn in dialogue.turns]


def test_a_turn_knows_its_row_and_the_line_where_it_ends(csv: Path) -> None:
    over_two_lines = '"I am\nglad.",Ada,joy,positive,0,1'
    (dialogue,) = read_meld(write(csv, GOOD, over_two_lines, GOOD.replace(",0,0", ",0,2")))
    assert [turn.row for turn in dialogue.turns] == [0, 1, 2]
    assert [turn.line for turn in dialogue.turns] == [2, 4, 5]
