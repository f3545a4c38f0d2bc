"""Talk at large: reading it, and training and judging on it beside MELD."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from tokenizers import Tokenizer

from dcet.runtime.errors import ConfigError, DataError, MissingColumn, UnknownLabel
from dcet.runtime.labels import EMOTIONS
from dcet.training.cli import main
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.talk import read_talk
from dcet.training.dialogue.batches import (
    Example,
    collate,
    count_mixed_batches,
    examples,
    mixed_batches,
)
from dcet.training.dialogue.fit import DialogueTraining, fit
from dcet.training.dialogue.forward import forward
from dcet.training.dialogue.objective import divergence, label_habits
from dcet.training.evaluate_text import micro_f1_without_neutral
from dcet.training.saved import checkpoint
from dcet.training.saved.checkpoint import CheckpointError
from tests.tiny_training import quiet, tiny_config, untrained, wordpiece, write_bert

LINES = {
    "goemotions_train.csv": "text,labels,labels_raw",
    "goemotions_dev.csv": "text,labels,labels_raw",
    "xed.csv": "text,labels,labels_raw",
}
TURNS = {
    "dailydialog_part1k.csv": "dialogue,turn,speaker,text,emotion",
    "dailydialog_dev.csv": "dialogue,turn,speaker,text,emotion",
    "topical_chat_dev.csv": "dialogue,turn,speaker,text,emotion,label_raw",
    "topical_chat_recognised.csv": "dialogue,turn,speaker,text,recogniser_a,recogniser_b,emotion",
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "text"
    folder.mkdir()
    for name, header in LINES.items():
        rows = [f"i am so {feeling} {n},{feeling},x" for n in range(6) for feeling in EMOTIONS]
        (folder / name).write_text("\n".join([header, *rows]), encoding="utf-8")
    for name, header in TURNS.items():
        extra = ",we are" * (header.count(",") - 4)
        rows = [
            f"{dialogue},{turn},{'AB'[turn % 2]},are you {feeling}{extra},{feeling}"
            for dialogue in range(12)
            for turn, feeling in enumerate(EMOTIONS[dialogue % 3 : dialogue % 3 + 4])
        ]
        if name == "topical_chat_dev.csv":
            rows = [row.replace(",we are", "") + ",raw" for row in rows]
        (folder / name).write_text("\n".join([header, *rows]), encoding="utf-8")
    return folder


def rows_of(folder: Path, rows: str, name: str = "xed.csv") -> Path:
    (folder / name).write_text(f"text,labels,labels_raw\n{rows}\n", encoding="utf-8")
    return folder


def test_a_line_is_a_dialogue_and_what_has_two_labels_or_no_letter_is_left_out(
    tmp_path: Path,
) -> None:
    lines = '"oh, no",fear,x\nboth,joy|anger,x\n"...",anger,x\nyes,joy,x\n'
    found = read_talk("xed", rows_of(tmp_path, "first,joy,x\n" + lines), "train")
    assert [[(turn.text, EMOTIONS[turn.emotion]) for turn in d.turns] for d in found] == [
        [("oh no", "fear")],  # xed's neutral lines have no commas, so none has
        [("yes", "joy")],
    ]


def test_commas_stay_where_they_mean_nothing(tmp_path: Path) -> None:
    folder = rows_of(tmp_path, '"oh, no",fear,x', "goemotions_train.csv")
    (dialogue,) = read_talk("goemotions", folder, "train")
    assert dialogue.turns[0].text == "oh, no"


def test_turns_of_a_dialogue_stay_together_and_have_speakers(texts: Path) -> None:
    first = read_talk("dailydialog", texts, "train")[0]
    assert [turn.speaker for turn in first.turns] == ["A", "B", "A", "B"]
    assert [EMOTIONS[turn.emotion] for turn in first.turns] == list(EMOTIONS[:4])


@pytest.mark.parametrize("corpus", ["xed", "topical_chat"])
def test_a_corpus_in_one_file_is_split_without_overlap(corpus: str, texts: Path) -> None:
    splits = [
        {turn.row for dialogue in read_talk(corpus, texts, split) for turn in dialogue.turns}
        for split in ("train", "dev")
    ]
    assert not splits[0] & splits[1]
    assert splits[0] | splits[1] == set(range(len(splits[0]) + len(splits[1])))


def test_what_is_wrong_with_a_corpus_is_named(tmp_path: Path, texts: Path) -> None:
    with pytest.raises(UnknownLabel, match=r"xed\.csv, line 2: labels is 'glee'"):
        read_talk("xed", rows_of(tmp_path, "hurray,glee,x"), "train")
    (tmp_path / "xed.csv").write_text("text,emotion\nyes,joy\n", encoding="utf-8")
    with pytest.raises(MissingColumn, match="columns labels are missing"):
        read_talk("xed", tmp_path, "train")
    with pytest.raises(DataError, match="expected text with a label, got none"):
        read_talk("xed", rows_of(tmp_path, "!,joy,x"), "train")
    with pytest.raises(DataError, match="xed has no split 'test'; expected train or dev"):
        read_talk("xed", texts, "test")


def mixed(texts: Path, meld: Path) -> list[Example]:
    splits = [
        Corpus.of_meld(meld, "train"),
        Corpus.of_talk("goemotions", texts, "train", source=1),
        Corpus.of_talk("dailydialog", texts, "train", source=2),
    ]
    return [item for split in splits for item in examples(split, wordpiece())]


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_batch_is_of_one_source_and_all_of_the_first_is_used(
    share: float, texts: Path, meld: Path
) -> None:
    items = mixed(texts, meld)
    batches = list(mixed_batches(items, 4, share, torch.Generator().manual_seed(0)))
    assert len(batches) == count_mixed_batches(items, 4, share)
    assert all(len(batch.source.unique()) == 1 for batch in batches)
    seen = [sum(int((b.source == source).sum()) for b in batches) for source in range(3)]
    there = [sum(len(i.tokens) for i in items if i.source == source) for source in range(3)]
    assert seen[0] == there[0]
    if share == 1:
        assert seen == there
    else:
        assert all(0 < some < every for some, every in zip(seen[1:], there[1:], strict=True))


def test_batches_of_other_sources_are_drawn_anew(texts: Path, meld: Path) -> None:
    items, generator = mixed(texts, meld), torch.Generator().manual_seed(0)
    one, other = (
        {t for batch in mixed_batches(items, 4, 0.3, generator) for t in batch.texts}
        for _ in range(2)
    )
    assert one != other


def test_a_batch_keeps_its_texts_in_order(texts: Path, meld: Path) -> None:
    items = mixed(texts, meld)[:3]
    batch = collate(items)
    assert [tuple(wordpiece().encode(text).ids) for text in batch.texts] == batch.tokens


def test_habits_are_how_much_likelier_a_corpus_names_an_emotion() -> None:
    every, joyful = torch.arange(7), torch.tensor([3, 3, 3, 3, 3, 4, 4])
    first, second = label_habits([every, joyful])
    assert torch.equal(first, torch.zeros(7))
    assert second[3] == pytest.approx(torch.tensor(5.0).log())
    assert second[4] == pytest.approx(torch.tensor(2.0).log())
    assert torch.isfinite(second).all()  # of emotions that it never names


def test_micro_f1_leaves_neutral_out() -> None:
    confusion = torch.zeros(7, 7, dtype=torch.long)
    confusion[4, 4] = 90
    assert micro_f1_without_neutral(confusion) == 0
    confusion[3, 3], confusion[3, 4], confusion[4, 0] = 6, 2, 4
    assert micro_f1_without_neutral(confusion) == pytest.approx(2 * 6 / (8 + 10))


def test_a_checkpoint_is_gone_on_from_without_what_was_fitted_to_dev(
    tmp_path: Path, meld: Path
) -> None:
    begun = untrained(write_bert(tmp_path / "bert"))
    begun.model.step.heads.calibration_bias.fill_(2.0)
    checkpoint.save(tmp_path / "begun", begun)
    config = tiny_config(meld, tmp_path / "begun")
    corpus = Corpus.of_meld(meld, "train")
    network = DialogueTraining(config, tmp_path / "kept", corpus, corpus).network
    assert not network.step.heads.calibration_bias.any()
    for name, value in begun.model.text.state_dict().items():
        assert torch.allclose(network.text.state_dict()[name], value, atol=1e-3)


def test_what_is_kept_is_a_blend_with_what_was_gone_on_from(tmp_path: Path, meld: Path) -> None:
    begun = untrained(write_bert(tmp_path / "bert"))
    checkpoint.save(tmp_path / "begun", begun)
    kept = {}
    for share in (0.0, 0.25, 1.0):
        config = tiny_config(
            meld, tmp_path / "begun", epochs=1, begin_share=share, encoder_learning_rate=0.1
        )
        fit(config, tmp_path / str(share), quiet)
        kept[share] = checkpoint.load(tmp_path / str(share)).model.text.state_dict()
    for name, value in begun.model.text.state_dict().items():
        assert torch.allclose(kept[1.0][name], value, atol=1e-3)
        assert torch.allclose(kept[0.25][name], 0.75 * kept[0.0][name] + 0.25 * value, atol=1e-3)
    with pytest.raises(ConfigError, match="begin_share: expected a checkpoint to go on from"):
        fit(tiny_config(meld, tmp_path / "bert", begin_share=0.5), tmp_path / "other", quiet)
    assert any((kept[0.0][name] - value).abs().max() > 5e-3 for name, value in kept[1.0].items())


def test_what_is_said_of_a_text_is_to_be_said_of_it_as_recognised(
    tmp_path: Path, meld: Path
) -> None:
    bert, corpus = write_bert(tmp_path / "bert"), Corpus.of_meld(meld, "train")

    def loss(recognised: float, agreement: float) -> float:
        config = tiny_config(
            meld, bert, recognised=recognised, agreement=agreement, token_dropout=0.0
        )
        training = DialogueTraining(config, tmp_path / "kept", corpus, corpus)
        training.network.eval()
        torch.manual_seed(3)  # what is misheard
        return training.loss(next(training.batches(1))).item()

    assert loss(0.0, 2.0) == pytest.approx(loss(0.0, 0.0), abs=1e-5)  # nothing was misheard
    assert loss(1.0, 2.0) > loss(1.0, 1.0) + 1e-4


def test_what_teachers_say_of_what_was_said_is_the_soft_label(
    tmp_path: Path, meld: Path, texts: Path
) -> None:
    """With the habits of each corpus; to answer as they do is the least loss there is."""
    bert = write_bert(tmp_path / "bert")
    named = []
    for seed in range(2):
        teacher = untrained(bert)
        teacher.model.step.heads.calibration_bias[seed] = 3.0
        checkpoint.save(tmp_path / f"teacher{seed}", teacher)
        named.append(str(tmp_path / f"teacher{seed}"))
    settings = {"teachers": named, "soft_share": 1.0, "also": ["dailydialog"], "texts": str(texts)}
    config = tiny_config(meld, bert, recognised=1.0, token_dropout=0.0, **settings)
    corpus = Corpus.of_meld(meld, "train")
    training = DialogueTraining(config, tmp_path / "kept", corpus, corpus)
    for batch in training.batches(1):
        soft = training._taught(batch)
        habits = training.objective.habits[batch.source]
        expected = torch.zeros_like(soft)
        for teacher in training.teachers:
            own = examples_of(batch.texts, teacher.tokenizer)
            with torch.inference_mode():
                logits = forward(teacher.model, dataclasses.replace(batch, tokens=own)).logits
            expected += (logits + habits).softmax(dim=-1) / 2
        torch.testing.assert_close(soft, expected, atol=1e-2, rtol=0)  # bfloat16
        assert len(set(soft.argmax(dim=-1).tolist()) - {0, 1}) == 0
        targets = training.objective.targets(dataclasses.replace(batch, soft=soft))
        torch.testing.assert_close(targets, soft)
    assert batch.soft.sum() == 0


def examples_of(texts: Sequence[str], tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    return [tuple(tokenizer.encode(text).ids) for text in texts]


def test_a_student_of_a_checkpoint_keeps_some_of_its_layers_and_all_licences(
    tmp_path: Path, meld: Path
) -> None:
    bert = write_bert(tmp_path / "bert")
    fit(tiny_config(meld, bert, epochs=1, licences={"MELD": "GPL-3.0"}), tmp_path / "large", quiet)
    large = tmp_path / "large"
    config = tiny_config(
        meld, large, epochs=1, layers=[1], teachers=[str(large)], licences={"other": "MIT"}
    )
    fit(config, tmp_path / "small", quiet)
    small = checkpoint.load(tmp_path / "small")
    assert small.model.text.backbone.config.num_hidden_layers == 1
    assert small.licences == {"MELD": "GPL-3.0", "other": "MIT"}
    fit(tiny_config(meld, large, epochs=1), tmp_path / "further", quiet)  # no teacher, no option
    licences = checkpoint.load(tmp_path / "further").licences
    assert licences == {"MELD": "GPL-3.0", "corpus": "Apache-2.0"}
    with pytest.raises(ConfigError, match=r"layers: expected some of 0 to 1 in ascending order"):
        fit(tiny_config(meld, large, layers=[2]), tmp_path / "none", quiet)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--meld", "--soft-labels"), "expected one of --soft-labels and --teacher"),
        (("--dvcea",), "--soft-labels, --teacher and --also are for --meld"),
    ],
)
def test_what_teachers_cannot_be_given_beside_is_refused(
    tmp_path: Path, options: Sequence[str], reason: str
) -> None:
    arguments = ["fit", "--text-encoder", "x", "--output", tmp_path / "run", "--teacher", "default"]
    for option in options:
        arguments += [option, tmp_path / "soft.npz" if option == "--soft-labels" else tmp_path]
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 2
    assert reason in done.stderr


def test_what_is_no_checkpoint_cannot_teach(
    meld: Path, bert: Path, encoders: dict[str, Path], tmp_path: Path
) -> None:
    config = tiny_config(meld, bert, teachers=[str(encoders["text"])])
    with pytest.raises(CheckpointError, match=r"expected a checkpoint, .* got an encoder of text"):
        fit(config, tmp_path / "run", quiet)
    with pytest.raises(ConfigError, match="expected soft labels or teachers"):
        tiny_config(meld, bert, teachers=["default"], soft_labels="soft.npz")
    assert not (tmp_path / "run").exists()


def test_answers_are_apart_by_their_two_divergences() -> None:
    first, second = torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0]])
    p, q = first.softmax(-1), second.softmax(-1)
    expected = ((p * (p / q).log()).sum() + (q * (q / p).log()).sum()) / 2
    assert divergence(first, second).item() == pytest.approx(expected.item(), rel=1e-5)
    assert divergence(first, first + 7).item() == pytest.approx(0, abs=1e-6)


def test_talk_is_trained_and_judged_on_from_the_command_line(
    tmp_path: Path, texts: Path, meld: Path
) -> None:
    bert, run = write_bert(tmp_path / "bert"), tmp_path / "run"
    (tmp_path / "half.json").write_text('{"also_share": 0.5}', encoding="utf-8")
    arguments: list[object] = [
        "fit",
        "--meld",
        meld,
        "--text-encoder",
        bert,
        "--epochs",
        1,
        "--output",
        run,
    ]
    arguments += ["--vocabulary", 0, "--also", "goemotions", "--also", "dailydialog"]
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 2
    assert "--also goemotions: expected --texts" in done.stderr
    arguments += ["--texts", texts, "--config", tmp_path / "half.json"]
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert (config["also"], config["also_share"]) == (["goemotions", "dailydialog"], 0.5)
    for corpus, split in (("dailydialog", "dev"), ("topical_chat", "recognised")):
        arguments = ["evaluate", run, "--corpus", corpus, "--split", split]
        arguments += ["--data", texts.parent, "--json", "-"]
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        figures = json.loads(done.stdout)
        assert figures["n"] == 48
        assert "sentiment" not in figures
    assert set(figures["same_label"]) == {"recogniser_a", "recogniser_b"}


def test_an_encoder_learns_from_several_corpora_of_text(tmp_path: Path, texts: Path) -> None:
    bert, run = write_bert(tmp_path / "bert"), tmp_path / "run"
    arguments: list[object] = [
        "encoder",
        "--modality",
        "text",
        "--corpus",
        "xed",
        "--corpus",
        "dailydialog",
    ]
    arguments += ["--data", texts.parent, "--text-encoder", bert, "--output", run, "--epochs", 1]
    done = CliRunner().invoke(main, [str(a) for a in [*arguments, "--json", "-"]])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.stdout)) == {"xed", "dailydialog"}
