"""Training of text encoder, fusion and memory together, over whole dialogues."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dcet.data.meld import Dialogue
from dcet.data.metrics import conversation_metrics
from dcet.runtime.errors import ConfigError
from dcet.training.augment.text_errors import Recogniser
from dcet.training.corpora.classes import check_classes
from dcet.training.corpora.corpus import Corpus
from dcet.training.device import CPU
from dcet.training.dialogue.batches import (
    Batch,
    count_mixed_batches,
    examples,
    mixed_batches,
)
from dcet.training.dialogue.forward import forward, predict
from dcet.training.dialogue.keep_best import keep_best
from dcet.training.dialogue.objective import Objective, divergence, label_habits
from dcet.training.dialogue.temperature import calibrate, prior_bias
from dcet.training.network.model import Dcet, Heads, ModelConfig
from dcet.training.run.loop import Judgement, Training, mix_in, snapshot, train
from dcet.training.run.parameter_groups import layer_groups
from dcet.training.run.progress import Progress
from dcet.training.run.run_config import RunConfig
from dcet.training.run.run_folder import check_run
from dcet.training.saved import checkpoint
from dcet.training.saved.encoder_run import kind_of
from dcet.training.saved.smaller_encoder import TextConfig, smaller_encoder
from dcet.training.settings import Count, Seed, Share, Weight


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig(RunConfig):
    """The settings of a run of `fit`. Written into the run as config.json."""

    meld: str  # folder of {train,dev}_sent_emo.csv
    text_encoder: str  # Hugging Face id or folder, or a checkpoint to go on from
    begin_share: Share = 0.0  # of that checkpoint's weights, in those that are judged and kept
    also: Sequence[str] = ()  # corpora of talk at large
    texts: str | None = None  # folder of their files
    also_share: Share = 1.0  # of their batches that an epoch takes, drawn anew each time
    recognised: Share = 0.0  # share of the utterances that are as a speech recogniser writes them
    agreement: Weight = 0.0  # of what is said of the utterances as they are and as recognised
    initial_seed: Seed = 0  # of the first weights; the same for runs that are to be averaged
    epochs: Count = 5
    dialogues_per_batch: Count = 8
    encoder_learning_rate: Weight = 1e-4
    step_learning_rate: Weight = 5e-4
    layer_decay: Share = 0.85  # each encoder layer learns this much slower than the one above it
    weight_decay: Weight = 0.01
    label_smoothing: Share = 0.1
    soft_labels: str | None = None  # npz made by `dcet-train soft-labels`
    teachers: Sequence[str] = ()  # checkpoints; what they say together is a soft label, too
    soft_share: Share = 0.5
    contrast: Weight = 0.1
    alone: Weight = 0.5
    token_dropout: Share = 0.1  # share of tokens replaced by the mask token
    prior_adjustment: Weight = 0.3  # of the logits, after training; see temperature.prior_bias
    vocabulary: Count | None = 12_000
    layers: Sequence[int] | None = None  # of the text encoder, those that are kept, from 0
    model: ModelConfig = field(default_factory=ModelConfig)
    licences: Mapping[str, str] = field(
        default_factory=dict
    )  # of data and encoder; kept with the weights

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        if self.soft_labels is not None and self.teachers:
            raise ConfigError(
                "expected soft labels or teachers, which are soft labels too, got both"
            )


def fit(
    config: FitConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train on MELD's train split, select on dev; write or resume `run`.

    Returns the dev figures of the weights that were kept. Raises ConfigError, DataError or
    WriteError.
    """
    check_run(run, config)
    folder = Path(config.meld)
    soft = None if config.soft_labels is None else Path(config.soft_labels)
    train_split = Corpus.of_meld(folder, "train", soft_labels=soft)
    return fit_split(config, run, train_split, Corpus.of_meld(folder, "dev"), progress, device)


def fit_split(
    config: FitConfig,
    run: Path,
    train_split: Corpus,
    dev: Corpus,
    progress: Progress,
    device: torch.device = CPU,
) -> Mapping[str, Any]:
    """Do as `fit`, on any two sets of dialogues, and on `config.also`."""
    check_run(run, config)
    if config.also and config.texts is None:
        raise ConfigError(f"--also {config.also[0]}: expected --texts, the folder of its files")
    check_classes(torch.tensor([turn.emotion for turn in train_split.turns]), "meld, train")
    training = DialogueTraining(config, run / "checkpoint", train_split, dev)
    if training.mask_id is None and config.token_dropout:
        progress.say("this encoder has no mask token: no tokens are dropped")
    train(training, config, run, progress, device)
    bias = prior_bias(train_split.dialogues, config.prior_adjustment)
    return calibrate(run / "checkpoint", dev, bias, device)


class DialogueTraining(Training[Batch]):
    """Training on batches of dialogues; the weights of the best epoch on dev are kept."""

    network: Dcet

    def __init__(self, config: FitConfig, kept: Path, train_split: Corpus, dev: Corpus) -> None:
        self.config, self.kept, self.dev = config, kept, dev
        torch.manual_seed(config.initial_seed)
        self.network, self.tokenizer, licences = new_model(config, train_split.dialogues)
        splits = [train_split]
        for source, name in enumerate(config.also, start=1):
            splits.append(Corpus.of_talk(name, Path(config.texts or ""), "train", source=source))
        self.items = [item for split in splits for item in examples(split, self.tokenizer)]
        self.recogniser = None
        if config.recognised:
            self.recogniser = Recogniser(text for item in self.items for text in item.texts)
        self.dev_items = examples(dev, self.tokenizer)
        self.objective = Objective(
            self.network.config.width,
            smoothing=config.label_smoothing,
            soft_share=config.soft_share,
            contrast=config.contrast,
            alone=config.alone,
            habits=label_habits(
                [torch.tensor([turn.emotion for turn in split.turns]) for split in splits]
            ),
        )
        self.teachers = [checkpoint.load(name) for name in config.teachers]
        self.others = [teacher.model for teacher in self.teachers]
        self.licences = checkpoint.joined_licences(self.teachers, {**licences, **config.licences})
        self.begun = snapshot(self.network)
        self.modules = {"model": self.network, "objective": self.objective}
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, self.objective, config), weight_decay=config.weight_decay
        )
        self.clipped = list(self.network.parameters())
        self.batches_per_epoch = count_mixed_batches(
            self.items, config.dialogues_per_batch, config.also_share
        )
        self.notes = {"best": {}}
        masks = (self.tokenizer.token_to_id(token) for token in ("[MASK]", "<mask>"))
        self.mask_id = next((id for id in masks if id is not None), None)

    def batches(self, seed: int) -> Iterator[Batch]:
        order = torch.Generator().manual_seed(seed)
        return mixed_batches(
            self.items, self.config.dialogues_per_batch, self.config.also_share, order
        )

    def loss(self, batch: Batch) -> Tensor:
        if self.teachers:
            batch = dataclasses.replace(batch, soft=self._taught(batch))
        logits, loss = self._answer(self._heard(batch))
        if self.config.agreement:
            said, again = self._answer(batch)
            loss = (loss + again) / 2 + self.config.agreement * divergence(logits, said)
        return loss

    def _answer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the logits of a batch, some of its tokens dropped, and its loss."""
        noisy = drop_tokens(batch, self.config.token_dropout, self.mask_id)
        outputs = forward(self.network, noisy)
        return outputs.logits, self.objective(outputs, noisy)

    @torch.no_grad()
    def _taught(self, batch: Batch) -> Tensor:
        """Return what the teachers say of the utterances, with the habits of their corpora: (N, 7).

        They are given what was said, whatever is made of it for the student.
        """
        habits = self.objective.habits[batch.source]
        answers = []
        for teacher in self.teachers:
            written = teacher.tokenizer.encode_batch(batch.texts)
            tokens = [tuple(encoding.ids) for encoding in written]
            outputs = forward(teacher.model, dataclasses.replace(batch, tokens=tokens), fast=True)
            answers.append((outputs.logits + habits).softmax(dim=-1))
        return torch.stack(answers).mean(dim=0)

    def _heard(self, batch: Batch) -> Batch:
        """Write some of the utterances as a speech recogniser does."""
        if self.recogniser is None:
            return batch
        random = Random(int(torch.randint(2**31, ())))
        tokens = list(batch.tokens)
        for place, text in enumerate(batch.texts):
            if random.random() < self.config.recognised:
                written = self.recogniser.write(text, random)
                tokens[place] = tuple(self.tokenizer.encode(written).ids)
        return dataclasses.replace(batch, tokens=tokens)

    def judge(self, epoch: int) -> Judgement:
        mix_in(self.network, self.begun, self.config.begin_share)
        predictions = predict(self.network, self.dev_items)
        figures = conversation_metrics(
            self.dev.dialogues, predictions.probabilities, predictions.sentiment, predictions.shift
        )
        made = partial(
            checkpoint.Checkpoint,
            model=self.network,
            tokenizer=self.tokenizer,
            metrics={"dev": figures},
            trained=("text",),
            licences=self.licences,
        )
        return keep_best(self.notes, epoch, figures, made, self.kept)


def new_model(
    config: FitConfig, dialogues: Sequence[Dialogue]
) -> tuple[Dcet, Tokenizer, Mapping[str, str]]:
    """Make the untrained network around its text encoder, its vocabulary cut to size.

    Returns its tokenizer and the licences of the checkpoint that it goes on from, too.
    """
    licences: Mapping[str, str] = {}
    texts = [turn.text for dialogue in dialogues for turn in dialogue.turns]
    if kind_of(config.text_encoder) == "checkpoint":
        begun = checkpoint.load(config.text_encoder)
        model, tokenizer, licences = _begun(begun.model), begun.tokenizer, begun.licences
        if config.layers is None:
            return model, tokenizer, licences
        shape = TextConfig(layers=config.layers)  # its vocabulary was cut already
    elif config.begin_share:
        raise ConfigError(
            f"begin_share: expected a checkpoint to go on from, got --text-encoder "
            f"{config.text_encoder}"
        )
    else:
        model, tokenizer = checkpoint.from_encoder(config.text_encoder, config.model)
        shape = TextConfig(layers=config.layers, vocabulary=config.vocabulary)
    model.text.backbone, tokenizer = smaller_encoder(shape, model.text.backbone, tokenizer, texts)
    return model, tokenizer, licences


def _begun(trained: Dcet) -> Dcet:
    """Take text encoder and step of a network, without what was fitted to dev."""
    model = Dcet(trained.config, trained.text.backbone)
    model.step = trained.step
    fitted = dict(model.step.heads.named_buffers())
    for buffer, neutral in Heads(model.config).named_buffers():
        fitted[buffer].copy_(neutral)
    return model


def parameter_groups(model: Dcet, objective: Objective, config: FitConfig) -> list[dict[str, Any]]:
    """Group the parameters: lower encoder layers learn slower, the rest at a rate of its own."""
    encoder = layer_groups(model.text.backbone, config.encoder_learning_rate, config.layer_decay)
    others = [*model.step.parameters(), *objective.parameters()]
    return [*encoder, {"params": others, "lr": config.step_learning_rate}]


def drop_tokens(batch: Batch, share: float, mask_id: int | None) -> Batch:
    """Replace some tokens, never the first or last of an utterance, by the mask token."""
    if not share or mask_id is None:
        return batch
    tokens = []
    for ids in batch.tokens:
        lost = (torch.rand(len(ids)) < share).tolist()
        lost[0] = lost[-1] = False
        tokens.append(tuple(mask_id if gone else id for id, gone in zip(ids, lost, strict=True)))
    return dataclasses.replace(batch, tokens=tokens)
