"""Training: encoder, fusion and memory together, over whole dialogues."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from dcet.data.meld import Dialogue
from dcet.data.metrics import conversation_metrics
from dcet.runtime.errors import ConfigError
from dcet.training.corpora.corpus import Corpus
from dcet.training.dialogue.batches import Batch, examples, shuffled_batches
from dcet.training.dialogue.calibration import calibrate, prior_bias
from dcet.training.dialogue.forward import forward, predict
from dcet.training.dialogue.objective import Objective
from dcet.training.network.model import Dcet, ModelConfig
from dcet.training.network.vocabulary import prune_vocabulary
from dcet.training.run.layer_rates import layer_groups
from dcet.training.run.resume import load_resume, save_resume
from dcet.training.run.runs import Progress, average_of, claim, follow, log, schedule
from dcet.training.saved import checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """All that decides a run. Written into the run as config.json."""

    meld: str  # folder of {train,dev}_sent_emo.csv
    text_encoder: str
    seed: int = 0  # of order and noise
    initial_seed: int = 0  # of the first weights; the same for runs that are to be averaged
    epochs: int = 5
    dialogues_per_batch: int = 8
    encoder_learning_rate: float = 1e-4
    step_learning_rate: float = 5e-4
    layer_decay: float = 0.85  # each encoder layer learns this much slower than the one above it
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of the run
    average: float = 0.99  # of the weights, per update; the average is what is evaluated and kept
    label_smoothing: float = 0.1
    soft_labels: str | None = None  # npz made by `dcet-train soft-labels`
    soft_share: float = 0.5
    contrast: float = 0.1
    alone: float = 0.5
    token_dropout: float = 0.1  # share of tokens replaced by the mask token
    prior_adjustment: float = 0.3  # of the logits, after training; see calibration.prior_bias
    vocabulary: int | None = 12_000
    model: ModelConfig = field(default_factory=ModelConfig)
    licences: Mapping[str, str] = field(
        default_factory=dict
    )  # of data and encoder; kept with the weights

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.dialogues_per_batch < 1:
            raise ConfigError(
                f"epochs and dialogues_per_batch must be at least 1, got {self.epochs} and "
                f"{self.dialogues_per_batch}"
            )


def fit(config: FitConfig, run: Path, progress: Progress) -> Mapping[str, Any]:
    """Train on MELD's train split, select on dev; write or resume `run`.

    Returns the dev figures of what was kept.
    """
    folder = Path(config.meld)
    soft = None if config.soft_labels is None else Path(config.soft_labels)
    train = Corpus.of_meld(folder, "train", soft_labels=soft)
    return fit_split(config, run, train, Corpus.of_meld(folder, "dev"), progress)


def fit_split(
    config: FitConfig,
    run: Path,
    train: Corpus,
    dev: Corpus,
    progress: Progress,
) -> Mapping[str, Any]:
    """As `fit`, on any two sets of dialogues."""
    claim(run, config)
    torch.manual_seed(config.initial_seed)
    model, tokenizer = new_model(config, train.dialogues)
    items, dev_items = examples(train, tokenizer), examples(dev, tokenizer)

    objective = Objective(
        model.config.width,
        smoothing=config.label_smoothing,
        soft_share=config.soft_share,
        contrast=config.contrast,
        alone=config.alone,
    )
    per_epoch = math.ceil(len(items) / config.dialogues_per_batch)
    updates = per_epoch * config.epochs
    optimizer = torch.optim.AdamW(
        parameter_groups(model, objective, config), weight_decay=config.weight_decay
    )
    rates = [group["lr"] for group in optimizer.param_groups]
    average = average_of(model)
    modules = {"model": model, "objective": objective}
    best: dict[str, Any] = {}
    first_epoch = 0
    if resumed := load_resume(run / "resume", modules, optimizer, average):
        first_epoch, best = resumed["epoch"], resumed["best"]

    masks = (tokenizer.token_to_id(token) for token in ("[MASK]", "<mask>"))
    mask_id = next((id for id in masks if id is not None), None)
    if mask_id is None and config.token_dropout:
        progress(0, updates, "this encoder has no mask token: no tokens are dropped")
    for epoch in range(first_epoch, config.epochs):
        model.train()
        # Order and noise depend on seed and epoch alone: a resumed run sees what an unbroken one
        # sees.
        torch.manual_seed(config.seed * 1000 + epoch)
        order = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        for index, batch in enumerate(shuffled_batches(items, config.dialogues_per_batch, order)):
            update = epoch * per_epoch + index
            factor = schedule(update / updates, config.warmup)
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            noisy = drop_tokens(batch, config.token_dropout, mask_id)
            outputs = forward(model, noisy)
            loss = objective(outputs, noisy)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            follow(average, model, min(config.average, (1 + update) / (10 + update)))
            progress(update + 1, updates, f"epoch {epoch + 1} loss {loss.item():.3f}")

        learning = average_of(model)
        model.load_state_dict(average)
        predictions = predict(model, dev_items)
        figures = conversation_metrics(
            dev.dialogues, predictions.probabilities, predictions.sentiment, predictions.shift
        )
        progress(
            (epoch + 1) * per_epoch,
            updates,
            f"epoch {epoch + 1} dev weighted_f1 {figures['weighted_f1']:.4f} "
            f"macro_f1 {figures['macro_f1']:.4f}",
        )
        log(run / "log.jsonl", epoch, figures)
        if not best or figures["weighted_f1"] > best["weighted_f1"]:
            best = {"epoch": epoch + 1, "weighted_f1": figures["weighted_f1"]}
            checkpoint.save(
                run / "checkpoint",
                checkpoint.Checkpoint(
                    model=model,
                    tokenizer=tokenizer,
                    metrics={"dev": figures},
                    trained=("text",),
                    licences=config.licences,
                ),
            )
        model.load_state_dict(learning)
        save_resume(run / "resume", modules, optimizer, average, {"epoch": epoch + 1, "best": best})
    bias = prior_bias(train.dialogues, config.prior_adjustment)
    return calibrate(run / "checkpoint", dev, bias)


def new_model(config: FitConfig, dialogues: Sequence[Dialogue]) -> tuple[Dcet, Tokenizer]:
    """The untrained network around its text encoder, its vocabulary cut to size."""
    model, tokenizer = checkpoint.from_encoder(config.text_encoder, config.model)
    if config.vocabulary and config.vocabulary < tokenizer.get_vocab_size():
        backbone = model.text.backbone
        words = backbone.get_input_embeddings()
        assert isinstance(words, nn.Embedding)
        tokenizer, embeddings = prune_vocabulary(
            tokenizer,
            words,
            config.vocabulary,
            keep=[turn.text for dialogue in dialogues for turn in dialogue.turns],
        )
        backbone.set_input_embeddings(embeddings)
        backbone.config.vocab_size = embeddings.num_embeddings
    return model, tokenizer


def parameter_groups(model: Dcet, objective: Objective, config: FitConfig) -> list[dict[str, Any]]:
    """The encoder's lower layers move less; everything else learns at a rate of its own."""
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
