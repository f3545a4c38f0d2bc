"""Teach the fusion to weigh what is said, heard and seen, on constructed conversations.

What reads text alone, the text encoder, the memory and the heads, stays as it was trained on real
dialogues: with text alone, the model with three senses gives exactly what the one with text gave.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from dcet.data.metrics import emotion_metrics
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import MODALITIES
from dcet.training.augment.text_errors import misheard
from dcet.training.corpora.corpus import Corpus
from dcet.training.corpora.faces import read_ferplus
from dcet.training.corpora.speech import read_speech
from dcet.training.dialogue.batches import Example, collate, examples, shuffled_chunks
from dcet.training.dialogue.forward import Outputs, Senses, converse, encode_texts
from dcet.training.dialogue.objective import Objective
from dcet.training.fusion.clips import Clips, encode_faces, encode_speech, halves
from dcet.training.fusion.constructed import CORRUPT, MISSING, WRONG, Plan, Studio, random_plan
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.model import Dcet
from dcet.training.run.runs import Progress, average_of, claim, follow, log, schedule
from dcet.training.saved import checkpoint, encoder_run

ALL_SPEECH = ("crema_d", "ravdess")
COMMERCIAL_SPEECH = ("crema_d",)  # RAVDESS is CC BY-NC-SA
WORD_ERROR_RATES = (0.0, 0.15, 0.35)
SENSES = (
    "fusion.audio",
    "fusion.face",
    "fusion.listen",
    "fusion.look",
    "fusion.reliability",
    "fusion.opinion",
    "fusion.expected",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FuseConfig:
    """All that decides a run. Written into the run as config.json."""

    checkpoint: str  # that reads text
    audio: str  # run of `dcet-train encoder` or `distill`
    face: str
    data: str  # folder of meld, ferplus and the corpora of speech
    speech: tuple[str, ...] = ALL_SPEECH
    seed: int = 0
    epochs: int = 8
    dialogues_per_batch: int = 16
    learning_rate: float = 1e-3
    warmup: float = 0.1
    average: float = 0.99
    label_smoothing: float = 0.05
    alone: float = 0.5


@dataclass(frozen=True, slots=True)
class Script:
    """Written dialogues and their text features, as written and misheard."""

    items: list[Example]
    features: list[Tensor]  # for each dialogue (len(WORD_ERROR_RATES), T, text_width)


def fuse(config: FuseConfig, run: Path, progress: Progress) -> Mapping[str, Any]:
    """Train the fusion; write `run`/checkpoint. Returns its figures on dev, text and constructed.

    Raises ConfigError or DataError.
    """
    claim(run, config)
    torch.manual_seed(config.seed)
    base = assemble(config)
    model = base.model
    progress(0, 1, "encoding the clips and faces of the dev split")
    studio, stage = studios(model, config)
    progress(0, 1, "encoding the dialogues")
    meld = Path(config.data) / "meld"
    script = read_script(base, Corpus.of_meld(meld, "train"), config.seed)
    dev = read_script(base, Corpus.of_meld(meld, "dev"), config.seed + 1)

    objective = Objective(
        model.config.width,
        smoothing=config.label_smoothing,
        soft_share=0.0,
        contrast=0.0,
        alone=config.alone,
    )
    trained = only_senses(model)
    optimizer = torch.optim.Adam(
        [*trained, *objective.parameters()], lr=config.learning_rate, betas=(0.9, 0.98)
    )
    per_epoch = math.ceil(len(script.items) / config.dialogues_per_batch)
    updates = per_epoch * config.epochs
    average = average_of(model.step)
    for epoch in range(config.epochs):
        model.train()
        torch.manual_seed(config.seed * 1000 + epoch)
        order = torch.Generator().manual_seed(config.seed * 1000 + epoch)
        chunks = shuffled_chunks(script.items, config.dialogues_per_batch, order)
        for index, chunk in enumerate(chunks):
            update = epoch * per_epoch + index
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * schedule(update / updates, config.warmup)
            batch = collate([script.items[i] for i in chunk])
            outputs = play(model, script, chunk, studio, random_plan)
            loss = objective(outputs, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            follow(average, model.step, min(config.average, (1 + update) / (10 + update)))
            progress(update + 1, updates, f"epoch {epoch + 1} loss {loss.item():.3f}")
        learning = average_of(model.step)
        model.step.load_state_dict(average)
        if epoch + 1 < config.epochs:
            figures = {"all": constructed_f1(model, dev, stage)}
            log(run / "log.jsonl", epoch, figures)
            message = f"epoch {epoch + 1} dev constructed weighted_f1 {figures['all']:.4f}"
            progress((epoch + 1) * per_epoch, updates, message)
            model.step.load_state_dict(learning)
    figures = constructed_figures(model, dev, stage)
    metrics = {**base.metrics, "constructed": figures}
    checkpoint.save(
        run / "checkpoint",
        dataclasses.replace(base, metrics=metrics, trained=MODALITIES),
    )
    return figures


def assemble(config: FuseConfig) -> checkpoint.Checkpoint:
    """The checkpoint that reads text, with the encoders of the other senses beside it."""
    base = checkpoint.load(config.checkpoint)
    heard, seen = (encoder_run.load(Path(run)) for run in (config.audio, config.face))
    audio, face = heard.model, seen.model
    if not isinstance(audio, AudioEncoder):
        raise ConfigError(f"--audio {config.audio}: expected audio, got a run of {heard.modality}")
    if not isinstance(face, FaceEncoder):
        raise ConfigError(f"--face {config.face}: expected faces, got a run of {seen.modality}")
    licences = {**base.licences, **heard.licences, **seen.licences}
    if config.speech == COMMERCIAL_SPEECH:
        barred = [name for name, licence in licences.items() if "-NC" in licence]
        if barred:
            raise ConfigError(
                f"--commercial: {', '.join(barred)} may not be used commercially; "
                "train the encoders without"
            )
    shape = dataclasses.replace(
        base.model.config, audio_width=audio.config.width, face_width=face.config.width
    )
    model = Dcet(shape, base.model.text.backbone, audio, face)
    kept = {
        name: value
        for name, value in base.model.step.state_dict().items()
        if not name.startswith(SENSES)
    }
    model.step.load_state_dict(kept, strict=False)
    return dataclasses.replace(
        base,
        model=model,
        licences=licences,
        metrics={**base.metrics, "audio": heard.metrics, "face": seen.metrics},
    )


def only_senses(model: Dcet) -> list[nn.Parameter]:
    """Freeze everything that text alone goes through; return the rest, which is to be trained."""
    fusion = model.step.fusion
    model.requires_grad_(False)
    trained = [
        parameter
        for name, part in fusion.named_children()
        if f"fusion.{name}" in SENSES
        for parameter in part.parameters()
    ]
    trained += [fusion.question, fusion.trust_in_quality, fusion.kind]
    for parameter in trained:
        parameter.requires_grad_(True)
    not_text = torch.tensor([[0.0], [1.0], [1.0]])
    fusion.kind.register_hook(lambda gradient: gradient * not_text)
    return trained


def studios(model: Dcet, config: FuseConfig) -> tuple[Studio, Studio]:
    """From one half of the people of the dev splits, and from the other."""
    assert model.audio is not None
    assert model.face is not None
    folder = Path(config.data)
    sides: tuple[list[Clips], list[Clips]] = ([], [])
    for corpus in config.speech:
        parts = halves(read_speech(corpus, folder / corpus, "dev"))
        for side, part in zip(sides, parts, strict=True):
            side.append(encode_speech(model.audio, part))
    faces = read_ferplus(folder / "ferplus", "dev")
    places = torch.arange(len(faces)) % 2
    made = []
    for number, side in enumerate(sides):
        audio = side[0]
        for clips in side[1:]:
            audio = audio + clips
        seen = encode_faces(model.face, faces.only(places == number))
        made.append(Studio(audio, seen, model.config))
    return made[0], made[1]


@torch.inference_mode()
def read_script(base: checkpoint.Checkpoint, corpus: Corpus, seed: int) -> Script:
    """Encode every utterance at every word error rate."""
    base.model.eval()
    random = Random(seed)
    turns = [turn for dialogue in corpus.dialogues for turn in dialogue.turns]
    words = [word for turn in turns for word in turn.text.split()]
    variants = []
    for rate in WORD_ERROR_RATES:
        texts = [misheard(turn.text, rate, words, random) for turn in turns]
        ids = [tuple(encoding.ids) for encoding in base.tokenizer.encode_batch(texts)]
        variants.append(encode_texts(base.model, ids))
    items = examples(corpus, base.tokenizer)
    lengths = [len(item.emotion) for item in items]
    features = torch.stack(variants).split(lengths, dim=1)
    return Script(items, [part.clone() for part in features])


def play(
    model: Dcet,
    script: Script,
    chunk: Sequence[int],
    studio: Studio,
    plan_for: Callable[[int], Plan],
) -> Outputs:
    """Construct the conversations `chunk` of the script and run them."""
    texts, senses = [], []
    for i in chunk:
        item, features = script.items[i], script.features[i]
        plan = plan_for(len(item.emotion))
        errors = torch.randint(1, len(WORD_ERROR_RATES), (len(item.emotion),))
        variant = torch.where(plan.fate[:, 0] == CORRUPT, errors, 0)
        texts.append(features[variant, torch.arange(len(variant))])
        senses.append(studio.senses(item, plan))
    joined = Senses(
        *(
            torch.cat([getattr(part, field.name) for part in senses])
            for field in dataclasses.fields(Senses)
        )
    )
    batch = collate([script.items[i] for i in chunk])
    return converse(model, batch, torch.cat(texts), joined)


@torch.inference_mode()
def play_all(
    model: Dcet, script: Script, studio: Studio, plan_for: Callable[[int], Plan], seed: int = 0
) -> tuple[dict[str, Any], list[float]]:
    """Emotion metrics of all dialogues and the mean weight of each modality."""
    model.eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        outputs = [
            play(model, script, range(start, min(start + 16, len(script.items))), studio, plan_for)
            for start in range(0, len(script.items), 16)
        ]
    labels = torch.cat([item.emotion for item in script.items])
    probabilities = torch.cat([output.logits for output in outputs]).softmax(dim=-1)
    weights = torch.cat([output.weights for output in outputs]).mean(dim=0)
    return emotion_metrics(labels, probabilities), weights.tolist()


def constructed_f1(model: Dcet, script: Script, studio: Studio) -> float:
    """Weighted F1 under random fates."""
    return float(play_all(model, script, studio, random_plan)[0]["weighted_f1"])


def constructed_figures(model: Dcet, script: Script, studio: Studio) -> dict[str, Any]:
    """Weighted F1 and mean modality weights: of all masks, and of each kind of corruption."""
    masks = [kept for size in (1, 2, 3) for kept in combinations(MODALITIES, size)]
    figures: dict[str, Any] = {"n": sum(len(item.emotion) for item in script.items)}
    fates = {
        "+".join(kept): {name: MISSING for name in MODALITIES if name not in kept} for kept in masks
    }
    fates |= {f"{name} corrupted": {name: CORRUPT} for name in MODALITIES}
    fates["face of somebody else"] = {"face": WRONG}
    for name, fate in fates.items():
        metrics, weights = play_all(model, script, studio, partial(Plan.same, **fate))
        figures[name] = {
            "weighted_f1": metrics["weighted_f1"],
            "ece": metrics["ece"],
            "modality_weights": dict(zip(MODALITIES, weights, strict=True)),
        }
    return figures
