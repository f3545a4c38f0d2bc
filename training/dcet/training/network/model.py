"""DCET, the network: fusion of the modalities, recurrent memory, heads.

`Step` is what is exported: one turn in, estimates and the next state out, nothing hidden. `Dcet`
adds the encoders and runs the same modules over whole dialogues for training.

The memory follows the Recurrent Memory Transformer (Bulatov et al., NeurIPS 2022, arXiv
2207.06881): memory tokens enter with the current segment and what comes out at their places is what
the next turn is given. Here there is one set of tokens per speaker and one per scene, a turn is a
segment, the write goes through a gate, and the rings of past utterances are read-only keys, so that
the cost of a turn never changes.

Shapes use B batch, M tokens, d `width`. All state starts as zeros: what the network learned about
an empty memory is added inside.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS, MODALITIES
from dcet.training.network.audio_encoder import AudioEncoder
from dcet.training.network.face_encoder import FaceEncoder
from dcet.training.network.familiarity import Familiarity
from dcet.training.network.judgements import SETS, Confidence, Shift, modality_sets
from dcet.training.network.speech_detector import SpeechDetector
from dcet.training.settings import Count, Settings, Share

OPINION_WIDTH = 32
MASKED = -1e4  # added to an attention logit that must not count; finite, so that fp16 keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Settings):
    """The shape of the step. Written next to the weights and into the bundle."""

    text_width: Count = 384
    audio_width: Count = 128
    audio_length: Count = 8
    face_width: Count = 128
    face_length: Count = 8
    width: Count = 256
    layers: Count = 2
    heads: Count = 4
    speaker_tokens: Count = 4
    scene_tokens: Count = 4
    speaker_ring: Count = 4  # past utterances of this speaker
    scene_ring: Count = 8  # past utterances of all speakers
    episodes: Count = 4  # retrieved from the long-term bank
    dropout: Share = 0.1

    def __post_init__(self) -> None:
        Settings.__post_init__(self)
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} must be a multiple of heads {self.heads}")


class State(NamedTuple):
    """All that a conversation remembers for a turn; see docs/bundle-format.md."""

    speaker_memory: Tensor  # (B, M, d)
    speaker_ring: Tensor  # (B, K, d), oldest first
    speaker_ring_mask: Tensor  # (B, K)
    speaker_estimate: Tensor  # (B, 7) probabilities of this speaker's last turn
    scene_memory: Tensor  # (B, M, d)
    scene_ring: Tensor  # (B, W, d), oldest first
    scene_ring_speaker: Tensor  # (B, W), 0 where empty


class FusionInputs(NamedTuple):
    """Features of the text, audio and faces of a turn; see docs/bundle-format.md."""

    text: Tensor  # (B, text_width)
    audio: Tensor  # (B, audio_length, audio_width)
    audio_mask: Tensor  # (B, audio_length), 1 where there is audio
    face: Tensor  # (B, face_length, face_width)
    face_mask: Tensor  # (B, face_length), 1 where there is a face
    modality_mask: Tensor  # (B, 3), 1 where a modality is present
    quality: Tensor  # (B, 3) in [0, 1]


class StepInputs(NamedTuple):
    """Everything that a turn gives the step, other than the state, in the order of the graph."""

    text: Tensor
    audio: Tensor
    audio_mask: Tensor
    face: Tensor
    face_mask: Tensor
    modality_mask: Tensor
    quality: Tensor
    episodes: Tensor  # (B, k, d)
    episodes_mask: Tensor  # (B, k), 1 where there is an episode
    speaker: Tensor  # (B, 1), numbers from 1

    @property
    def fusion(self) -> FusionInputs:
        """The part that the fusion reads."""
        return FusionInputs(*self[: len(FusionInputs._fields)])


SPEAKER_STATES = State._fields[:4]


def initial_state(config: ModelConfig, batch: int = 1, device: torch.device | None = None) -> State:
    """Return the state before the first turn: zeros."""
    shapes = (
        (config.speaker_tokens, config.width),
        (config.speaker_ring, config.width),
        (config.speaker_ring,),
        (len(EMOTIONS),),
        (config.scene_tokens, config.width),
        (config.scene_ring, config.width),
        (config.scene_ring,),
    )
    return State(*(torch.zeros(batch, *shape, device=device) for shape in shapes))


class Attention(nn.Module):
    """Multi-head attention, written out so that it exports as plain products and a softmax."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Attend from queries (B, Q, d) to keys (B, K, d): (B, Q, d).

        mask: (B, K), 1 where a key counts
        """
        q = self._split(self.query(queries))
        k, v = (self._split(part) for part in self.key_value(keys).chunk(2, dim=-1))
        logits = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5)
        weights = (logits + ((1 - mask) * MASKED)[:, None, None, :]).softmax(dim=-1)
        mixed = (self.dropout(weights) @ v).transpose(1, 2).flatten(2)
        output: Tensor = self.output(mixed)
        return output

    def _split(self, x: Tensor) -> Tensor:
        split: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return split


class Fused(NamedTuple):
    """What the fusion makes of a turn."""

    utterance: Tensor  # (B, d)
    weights: Tensor  # (B, 3) of the modalities
    direct: Tensor  # (B, 7) logits of what voice and face say by themselves, as they weigh
    familiarity: Tensor  # (B, 3) in [0, 1], 1 where a modality is absent


class Fusion(nn.Module):
    """Text-conditioned attention over audio and face, mixed by weights that are an output.

    What an audio or a face encoder's own head says goes past the memory straight to the heads, so
    that one modality alone says in a turn what it says by itself.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.text = nn.Linear(config.text_width, config.width)
        self.audio = nn.Sequential(
            nn.LayerNorm(config.audio_width), nn.Linear(config.audio_width, config.width)
        )
        self.face = nn.Sequential(
            nn.LayerNorm(config.face_width), nn.Linear(config.face_width, config.width)
        )
        self.question = nn.Parameter(
            torch.zeros(config.width)
        )  # what is asked when there is no text
        self.listen = Attention(config.width, config.heads)
        self.look = Attention(config.width, config.heads)
        self.reliability = nn.Linear(2 * config.width, 1)
        self.opinion = nn.Linear(config.width, OPINION_WIDTH)
        self.expected = nn.Linear(config.width, OPINION_WIDTH)  # of the others, by each sense
        # So that nothing is suspected before anything was learned.
        nn.init.zeros_(self.expected.weight)
        nn.init.zeros_(self.expected.bias)
        self.trust_in_quality = nn.Parameter(torch.ones(len(MODALITIES)))
        self.kind = nn.Parameter(torch.zeros(len(MODALITIES), config.width))
        self.direct = nn.ModuleDict(
            {
                "audio": nn.Linear(config.audio_width, len(EMOTIONS)),
                "face": nn.Linear(config.face_width, len(EMOTIONS)),
            }
        )
        self.familiarity = nn.ModuleDict(
            {
                "text": Familiarity(config.text_width),
                "audio": Familiarity(config.audio_width),
                "face": Familiarity(config.face_width),
            }
        )
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: FusionInputs) -> Fused:
        """Fuse the modalities of B turns."""
        modality_mask = inputs.modality_mask
        familiarity = self._familiarity(inputs)
        said = self.text(inputs.text) * modality_mask[:, :1]
        query = (said + self.question)[:, None]
        heard = self.listen(query, self.audio(inputs.audio), inputs.audio_mask)
        seen = self.look(query, self.face(inputs.face), inputs.face_mask)
        senses = torch.cat([said[:, None], heard, seen], dim=1) + self.kind
        logits = self.reliability(torch.cat([senses, query.expand_as(senses)], dim=-1)).squeeze(-1)
        logits = logits + self._agreement(senses, modality_mask)
        worth = (inputs.quality * familiarity).clamp(1e-3, 1.0)
        logits = logits + self.trust_in_quality.abs() * torch.log(worth)
        weights = (logits + (1 - modality_mask) * MASKED).softmax(dim=-1) * modality_mask
        mixed = self.norm((weights[..., None] * senses).sum(dim=1))
        direct = sum(
            weights[:, place, None] * _mean(self.direct[name](features), mask)
            for place, name, features, mask in (
                (1, "audio", inputs.audio, inputs.audio_mask),
                (2, "face", inputs.face, inputs.face_mask),
            )
        )
        return Fused(self.dropout(mixed), weights, direct, familiarity)

    def learn_the_familiar(self, modality: str, features: Tensor, known: Tensor) -> None:
        """Fit the familiarity of a modality, as `Familiarity.fit`."""
        familiarity = self.familiarity[modality]
        assert isinstance(familiarity, Familiarity)
        familiarity.fit(features, known)

    def _familiarity(self, inputs: FusionInputs) -> Tensor:
        """Return how familiar the features of each modality are: (B, 3)."""
        text, audio, face = inputs.modality_mask.split(1, dim=1)
        return torch.cat(
            [
                self.familiarity["text"](inputs.text[:, None], text),
                self.familiarity["audio"](inputs.audio, inputs.audio_mask * audio),
                self.familiarity["face"](inputs.face, inputs.face_mask * face),
            ],
            dim=1,
        )

    def _agreement(self, senses: Tensor, modality_mask: Tensor) -> Tensor:
        """Score how well each modality of senses (B, 3, d) agrees with the others: (B, 3).

        A face that shows another emotion than text and audio is probably another person's.
        """
        opinions = torch.tanh(self.opinion(senses)) * modality_mask[..., None]
        others = opinions.sum(dim=1, keepdim=True) - opinions
        agreement: Tensor = (self.expected(senses) * others).sum(dim=-1)
        return agreement


def _mean(items: Tensor, mask: Tensor) -> Tensor:
    """Average the items (B, n, w) that are there, by a mask (B, n): (B, w); 0 where none is."""
    count = mask.sum(dim=1, keepdim=True).clamp_min(1)
    return (items * mask[..., None]).sum(dim=1) / count


class MemoryLayer(nn.Module):
    """A pre-norm block: memory and the current utterance attend to each other and to the rings."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads, config.dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * config.width, config.width),
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, past: Tensor, mask: Tensor) -> Tensor:
        normed = self.attention_norm(torch.cat([tokens, past], dim=1))
        asking = normed[:, : tokens.shape[1]]
        tokens = tokens + self.dropout(self.attention(asking, normed, mask))
        tokens = tokens + self.dropout(self.feed_forward(tokens))
        return tokens


class Memory(nn.Module):
    """The recurrent memory: it reads the state for an utterance and writes the next state."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.speaker_tokens + config.scene_tokens
        self.empty = nn.Parameter(torch.randn(tokens, width) * 0.02)  # the memory before any turn
        self.place = nn.Parameter(torch.randn(tokens + 1, width) * 0.02)
        self.speaker_age = nn.Parameter(torch.randn(config.speaker_ring, width) * 0.02)
        self.scene_age = nn.Parameter(torch.randn(config.scene_ring, width) * 0.02)
        self.same_speaker = nn.Parameter(torch.randn(2, width) * 0.02)  # another speaker, this one
        self.episode = nn.Parameter(torch.randn(width) * 0.02)
        self.layers = nn.ModuleList(MemoryLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, width)
        self.gate = nn.Linear(2 * width, width)

    def forward(
        self,
        utterance: Tensor,
        speaker: Tensor,
        episodes: Tensor,
        episodes_mask: Tensor,
        state: State,
    ) -> tuple[Tensor, State]:
        """Return the utterance in context (B, d) and the next state, in which the speaker's
        estimate is still the last one.

        utterance: (B, d) fused; speaker: (B, 1) numbers from 1
        episodes: (B, k, d) from the long-term bank; episodes_mask: (B, k), 1 where there is one
        """
        memory = torch.cat([state.speaker_memory, state.scene_memory], dim=1) + self.empty
        tokens = torch.cat([memory, utterance[:, None]], dim=1) + self.place

        heard = state.scene_ring_speaker.clamp(0, 1)  # speaker numbers start at 1
        same = 1 - (state.scene_ring_speaker - speaker).abs().clamp(0, 1)
        who = self.same_speaker[0] + same[..., None] * (self.same_speaker[1] - self.same_speaker[0])
        past = torch.cat(
            [
                state.speaker_ring + self.speaker_age,
                state.scene_ring + self.scene_age + who,
                episodes + self.episode,
            ],
            dim=1,
        )
        present = torch.ones_like(tokens[..., 0])
        mask = torch.cat([present, state.speaker_ring_mask, heard, episodes_mask], dim=1)

        for layer in self.layers:
            tokens = layer(tokens, past, mask)
        tokens = self.norm(tokens)

        thought = tokens[:, :-1]
        gate = torch.sigmoid(self.gate(torch.cat([thought, memory], dim=-1)))
        memory = memory + gate * (torch.tanh(self.write(thought)) - memory) - self.empty
        speaker_memory, scene_memory = memory.split(
            [self.config.speaker_tokens, self.config.scene_tokens], dim=1
        )
        following = state._replace(
            speaker_memory=speaker_memory,
            speaker_ring=_push(state.speaker_ring, utterance),
            speaker_ring_mask=_push(state.speaker_ring_mask, torch.ones_like(speaker[:, 0])),
            scene_memory=scene_memory,
            scene_ring=_push(state.scene_ring, utterance),
            scene_ring_speaker=_push(state.scene_ring_speaker, speaker[:, 0]),
        )
        return tokens[:, -1], following


def _push(ring: Tensor, item: Tensor) -> Tensor:
    """Drop the oldest entry and append `item`."""
    return torch.cat([ring[:, 1:], item[:, None]], dim=1)


class Heads(nn.Module):
    """The heads: emotion logits, and sentiment in [-1, 1]."""

    calibration_bias: Tensor
    calibration_scale: Tensor
    set_bias: Tensor
    set_scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.emotion = nn.Linear(config.width, len(EMOTIONS))
        self.sentiment = nn.Linear(config.width, 1)
        # Fitted on dev after training (Guo et al., ICML 2017); inside the graph, so that no host
        # repeats it.
        self.register_buffer("calibration_bias", torch.zeros(len(EMOTIONS)))
        self.register_buffer("calibration_scale", torch.ones(()))
        # Of each set of modalities besides, see `modality_sets`; those of text alone stay neutral.
        self.register_buffer("set_bias", torch.zeros(SETS, len(EMOTIONS)))
        self.register_buffer("set_scale", torch.ones(SETS))

    def forward(
        self, context: Tensor, direct: Tensor, modality_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return calibrated logits (N, 7) and sentiment (N, 1).

        context: (N, d); direct: (N, 7), as `Fused.direct`; modality_mask: (N, 3)
        """
        # Products and sums: a matrix product would be taken for a layer, and quantised.
        chosen = modality_sets(modality_mask)
        bias = self.calibration_bias + (chosen[..., None] * self.set_bias).sum(dim=-2)
        scale = self.calibration_scale * (chosen * self.set_scale).sum(dim=-1, keepdim=True)
        logits = (self.emotion(context) + direct + bias) * scale
        return logits, torch.tanh(self.sentiment(context))


class Step(nn.Module):
    """A turn: fusion, memory and heads as a pure function of features and state."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.fusion = Fusion(config)
        self.memory = Memory(config)
        self.heads = Heads(config)
        self.confidence = Confidence()
        self.shift = Shift()

    def forward(self, inputs: StepInputs, state: State) -> tuple[Tensor, ...]:
        """Return probabilities (B, 7), sentiment and shift (B, 1), modality weights (B, 3),
        confidence (B, 1), familiarity (B, 3), and the tensors of the next state in their order; see
        docs/bundle-format.md."""
        fused = self.fusion(inputs.fusion)
        context, following = self.memory(
            fused.utterance, inputs.speaker, inputs.episodes, inputs.episodes_mask, state
        )
        logits, sentiment = self.heads(context, fused.direct, inputs.modality_mask)
        probabilities = logits.softmax(dim=-1)
        shift = self.shift(probabilities, state.speaker_estimate)
        trust = inputs.quality * fused.familiarity
        confidence = self.confidence(probabilities, inputs.modality_mask, trust)
        following = following._replace(speaker_estimate=probabilities)
        said = (probabilities, sentiment, shift, fused.weights, confidence, fused.familiarity)
        return *said, *following


class TextEncoder(nn.Module):
    """A Hugging Face encoder with mean pooling (Reimers & Gurevych, EMNLP 2019)."""

    backbone: PreTrainedModel

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode input_ids and attention_mask (B, tokens), integers: features (B, text_width)."""
        hidden = self.hidden(input_ids, attention_mask)
        mask = attention_mask.to(hidden.dtype)[..., None]
        features: Tensor = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return features

    def hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the states of the last layer (B, tokens, text_width); the mask may be additive."""
        states: Tensor = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask, **self._positions(input_ids)
        ).last_hidden_state
        return states

    def _positions(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Return the positions of tokens for MPNet and RoBERTa, which begin after the padding's.

        They would count them up to each token, as TensorRT cannot; here padding comes last.
        """
        embeddings = getattr(self.backbone, "embeddings", None)
        padding = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
        if padding is None:
            return {}
        places = torch.arange(input_ids.shape[1], device=input_ids.device) + padding + 1
        return {"position_ids": places.expand_as(input_ids)}


class Dcet(nn.Module):
    """Encoders and step, over whole dialogues. A modality without an encoder is masked.

    speech: tells whether a voice sounds, before the audio encoder hears it; it learns elsewhere
    """

    def __init__(
        self,
        config: ModelConfig,
        backbone: PreTrainedModel,
        audio: AudioEncoder | None = None,
        face: FaceEncoder | None = None,
        speech: SpeechDetector | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.text = TextEncoder(backbone)
        self.audio = audio
        self.face = face
        self.speech = speech
        self.step = Step(config)

    def converse(self, utterances: Tensor, speakers: Tensor, *, remember: bool = True) -> Tensor:
        """Run the memory over dialogues, turn by turn; return contexts (B, T, d).

        utterances: (B, T, d) fused; speakers: (B, T) numbers from 1
        With `remember=False` the memory is reset before every turn, as the ablation does.
        """
        batch, turns, _ = utterances.shape
        fresh = initial_state(self.config, batch, utterances.device)
        count = len(SPEAKER_STATES)
        scene = fresh[count:]
        everyone = int(speakers.max())
        people = [part[:, None].expand(-1, everyone, *part.shape[1:]) for part in fresh[:count]]
        episodes = utterances.new_zeros(batch, self.config.episodes, self.config.width)
        rows = torch.arange(batch, device=utterances.device)
        contexts = []
        for turn in range(turns):
            speaker = speakers[:, turn]
            mine = [part[rows, speaker - 1] for part in people]
            context, following = self.step.memory(
                utterances[:, turn],
                speaker[:, None].to(utterances.dtype),
                episodes,
                episodes[..., 0],
                State(*[*mine, *scene]) if remember else fresh,
            )
            contexts.append(context)
            scene = following[count:]
            is_mine = nn.functional.one_hot(speaker - 1, everyone).bool()
            people = [
                torch.where(
                    is_mine.reshape(batch, everyone, *[1] * (new.dim() - 1)), new[:, None], old
                )
                for old, new in zip(people, following[:count], strict=True)
            ]
        return torch.stack(contexts, dim=1)
