"""Training of fusion and memory on the features of a DVCEA data set.

The encoders are not trained: audio and face encoders are the host's own, and the text encoder,
which the bundle runs, is the one that made the set's text features.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dcet.data.dvcea import Dvcea
from dcet.data.metrics import conversation_metrics
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import MODALITIES
from dcet.training.corpora.classes import check_classes
from dcet.training.device import CPU, device_of, moved
from dcet.training.dialogue.batches import Batch, collate, shuffled_chunks
from dcet.training.dialogue.feature_split import FeatureSplit, is_labelled, only, some_hidden
from dcet.training.dialogue.forward import Outputs, collect, converse
from dcet.training.dialogue.keep_best import keep_best
from dcet.training.dialogue.objective import Objective
from dcet.training.dialogue.temperature import fit_to, prior_bias
from dcet.training.network.model import Dcet, FusionInputs, ModelConfig
from dcet.training.run.loop import Judgement, Training, train
from dcet.training.run.progress import Progress
from dcet.training.run.run_config import RunConfig
from dcet.training.run.run_folder import check_run
from dcet.training.saved import checkpoint
from dcet.training.saved.text_encoders import load_text
from dcet.training.saved.weights import weights_sha256
from dcet.training.settings import Count, Seed, Share, Weight

MOST_DIALOGUES = 2000  # that familiarity is learned from


@dataclass(frozen=True, slots=True, kw_only=True)
class FitDvceaConfig(RunConfig):
    """The settings of a run of `fit --dvcea`. Written into the run as config.json."""

    dvcea: str
    text_encoder: str  # that made the text features
    initial_seed: Seed = 0  # of the first weights
    epochs: Count = 5
    dialogues_per_batch: Count = 8
    learning_rate: Weight = 5e-4
    weight_decay: Weight = 0.01
    label_smoothing: Share = 0.1
    contrast: Weight = 0.1
    alone: Weight = 0.5
    missing: Share = 0.2  # of the modalities that are there, that are hidden in training
    prior_adjustment: Weight = 0.3  # see temperature.prior_bias
    model: ModelConfig = field(default_factory=ModelConfig)  # its widths are the set's
    licences: Mapping[str, str] = field(default_factory=dict)


def fit_dvcea(
    config: FitDvceaConfig, run: Path, progress: Progress, device: torch.device = CPU
) -> Mapping[str, Any]:
    """Train on the split `train`, select on `dev`; write or resume `run`.

    Returns the dev figures of the weights that were kept. Raises a DvceaError, CheckpointError,
    ConfigError, DataError or WriteError.
    """
    check_run(run, config)
    dvcea = Dvcea.open(config.dvcea)
    training = FeatureTraining(config, run / "checkpoint", dvcea)
    train(training, config, run, progress, device)
    return _calibrate(run / "checkpoint", training, device)


class FeatureTraining(Training[tuple[Batch, FusionInputs]]):
    """Training on dialogues of features; the weights of the best epoch on dev are kept."""

    network: Dcet

    def __init__(self, config: FitDvceaConfig, kept: Path, dvcea: Dvcea) -> None:
        self.config, self.kept = config, kept
        torch.manual_seed(config.initial_seed)
        backbone, self.tokenizer, licences = load_text(config.text_encoder, "--text-encoder")
        _expect_encoder(dvcea, weights_sha256(backbone), config.text_encoder)
        manifest = dvcea.manifest
        self.licences = {**licences, **manifest.value["licences"], **config.licences}
        widths = {
            f"{name}_width": manifest.widths[feature]
            for name, feature in zip(MODALITIES, ("text", "audio", "visual"), strict=True)
        }
        self.network = Dcet(replace(config.model, **widths), backbone)
        self.network.text.requires_grad_(False)
        self.train_split, self.dev = (
            FeatureSplit.read(dvcea, name, self.network.config) for name in ("train", "dev")
        )
        labels = self.train_split.emotion
        check_classes(labels[is_labelled(labels)], f"{config.dvcea}, train")
        self._learn_the_familiar()
        self.objective = Objective(
            self.network.config.width,
            smoothing=config.label_smoothing,
            soft_share=0.0,
            contrast=config.contrast,
            alone=config.alone,
        )
        self.modules = {"model": self.network, "objective": self.objective}
        learning = [*self.network.step.parameters(), *self.objective.parameters()]
        self.optimizer = torch.optim.AdamW(
            learning, lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.clipped = list(self.network.step.parameters())
        count = len(self.train_split.items)
        self.batches_per_epoch = math.ceil(count / config.dialogues_per_batch)
        self.notes = {"best": {}}

    def batches(self, seed: int) -> Iterator[tuple[Batch, FusionInputs]]:
        order = torch.Generator().manual_seed(seed)
        size = self.config.dialogues_per_batch
        for chunk in shuffled_chunks(self.train_split.items, size, order):
            labelled, inputs = self.train_split.batch(chunk)
            yield labelled, some_hidden(inputs, self.config.missing)

    def loss(self, batch: tuple[Batch, FusionInputs]) -> Tensor:
        labelled, inputs = batch
        outputs = converse(self.network, labelled, inputs)
        if not is_labelled(labelled.emotion).any():
            return outputs.logits.sum() * 0
        loss: Tensor = self.objective(*_of_labelled(outputs, labelled))
        return loss

    def judge(self, epoch: int) -> Judgement:
        figures = figures_on(self.network, self.dev)
        made = partial(
            checkpoint.Checkpoint,
            model=self.network,
            tokenizer=self.tokenizer,
            metrics={"dev": figures},
            trained=self._trained(),
            licences=self.licences,
        )
        return keep_best(self.notes, epoch, figures, made, self.kept)

    def _trained(self) -> tuple[str, ...]:
        """The modalities that the split for training has."""
        return tuple(
            name for place, name in enumerate(MODALITIES) if len(_items(self.train_split, place))
        )

    def _learn_the_familiar(self) -> None:
        """Fit the familiarity of each modality that both splits have: on train, and how far away is
        usual on dev."""
        for place, name in enumerate(MODALITIES):
            sides = [_items(split, place) for split in (self.train_split, self.dev)]
            if all(len(side) > 1 for side in sides):
                self.network.step.fusion.learn_the_familiar(name, *sides)


def figures_on(
    model: Dcet, split: FeatureSplit, *, kept: Sequence[str] = MODALITIES, remember: bool = True
) -> dict[str, Any]:
    """Return the figures on the labelled turns of a split, of the modalities `kept`.

    With `remember=False` the memory is reset before every turn.
    """
    predictions = collect(_run(model, split, kept=kept, remember=remember))
    rows = is_labelled(split.emotion).numpy()
    return conversation_metrics(
        split.dialogues,
        predictions.probabilities[rows],
        predictions.sentiment[rows],
        predictions.shift[rows],
        predictions.confidence[rows],
    )


@torch.inference_mode()
def _run(
    model: Dcet, split: FeatureSplit, *, kept: Sequence[str] = MODALITIES, remember: bool = True
) -> list[Outputs]:
    model.eval()
    mask, device = torch.tensor([[float(name in kept) for name in MODALITIES]]), device_of(model)
    parts = (moved((batch, only(inputs, mask)), device) for batch, inputs in split.in_order())
    return [moved(converse(model, *part, remember=remember), CPU) for part in parts]


def _calibrate(folder: Path, training: FeatureTraining, device: torch.device) -> Mapping[str, Any]:
    """Fit bias, temperature, confidence and shift of the kept weights to dev; save them.

    Returns the figures on dev: of all modalities, with the memory reset before every turn, and of
    each modality alone.
    """
    loaded, dev = checkpoint.load(folder, device), training.dev
    model = loaded.model
    bias = prior_bias(training.train_split.dialogues, training.config.prior_adjustment)
    model.step.heads.calibration_bias.copy_(bias)
    labelled = collate(dev.items)
    outputs = _run(model, dev)
    logits, mask, trust = (
        torch.cat([getattr(output, name) for output in outputs])
        for name in ("logits", "modality_mask", "trust")
    )
    fit_to(model.step, labelled, logits, mask, trust, is_labelled(labelled.emotion))
    figures = {"dev": figures_on(model, dev)}
    figures["dev_memory_reset"] = figures_on(model, dev, remember=False)
    for name in loaded.trained if len(loaded.trained) > 1 else ():
        figures[f"dev_{name}"] = figures_on(model, dev, kept=(name,))
    checkpoint.save(folder, replace(loaded, metrics=figures))
    return figures


def _of_labelled(outputs: Outputs, batch: Batch) -> tuple[Outputs, Batch]:
    """Keep the turns that somebody labelled; a sentiment that nobody did is taken for right."""
    rows = is_labelled(batch.emotion)
    parts = {name: getattr(outputs, name)[rows] for name in ("utterances", "logits", "sentiment")}
    sentiment = batch.sentiment[rows]
    known = torch.where(sentiment.isnan(), parts["sentiment"].detach(), sentiment)
    labels = replace(batch, emotion=batch.emotion[rows], sentiment=known, soft=batch.soft[rows])
    return replace(outputs, **parts), labels


def _items(split: FeatureSplit, place: int) -> Tensor:
    """Return the features (n, width) of a modality in at most MOST_DIALOGUES of a split."""
    count = len(split.items)
    places = range(0, count, -(-count // MOST_DIALOGUES))
    parts = []
    for dialogue in places:
        inputs = split.batch([dialogue])[1]
        sequences = (inputs.text[:, None], inputs.audio, inputs.face)[place]
        masks = (inputs.modality_mask[:, :1], inputs.audio_mask, inputs.face_mask)[place]
        parts.append(sequences[masks > 0])
    return torch.cat(parts)


def _expect_encoder(dvcea: Dvcea, sha256: str, name: str) -> None:
    """Raise ConfigError unless the bundle's text features will be those of the set."""
    row = dvcea.manifest.value["encoders"]["text"]
    folder = dvcea.manifest.folder
    if (row["layer"], row["pooling"]) != (-1, "mean"):
        raise ConfigError(
            f"{folder}: its text features are of layer {row['layer']}, pooled by {row['pooling']}; "
            "a bundle gives the mean of the last layer: build the set with text_layer -1 and "
            "text_pooling mean"
        )
    if row["sha256"] != sha256:
        raise ConfigError(
            f"--text-encoder {name}: expected {row['name']}, whose weights have SHA-256 "
            f"{row['sha256'][:12]}…, which made the text features of {folder}, got "
            f"{sha256[:12]}…; give that encoder"
        )
