"""The graphs for a server that keeps the states itself, one set of tensors for each conversation.

The set holds the scene's states, and those of S speakers in slots, beside `holders`, which says
whose each slot is. A graph takes the speaker's states out of their slot, runs what the graph of a
bundle runs, and puts the next states back. Speaker n has slot (n - 1) mod S; whoever had it before
is forgotten. A batch is of B conversations, each with one speaker at a time.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dcet.training.network.audio_encoder import AudioEncoder, remember, sums
from dcet.training.network.model import SPEAKER_STATES, State, Step


class Slots(NamedTuple):
    """Whose slots a conversation has, and where the speaker of this turn is."""

    mine: Tensor  # (B, S) true at the speaker's slot
    known: Tensor  # (B, 1) true where the slot is theirs already
    holders: Tensor  # (B, S) afterwards

    @classmethod
    def of(cls, speaker: Tensor, start: Tensor, holders: Tensor) -> "Slots":
        """speaker (B, 1) int32 from 1, start (B, 1) with 1 where a conversation begins, holders
        (B, S) with 0 for nobody."""
        count = holders.shape[1]
        number = speaker.to(holders.dtype)
        mine = torch.arange(count, dtype=torch.int32) == (speaker - 1) % count
        before = kept(holders, start)
        known = (mine & (before == number)).any(dim=1, keepdim=True)
        return cls(mine, known, torch.where(mine, number, before))

    def take(self, state: Tensor) -> Tensor:
        """(B, S, …) -> the speaker's (B, …), zeros for a newcomer."""
        theirs = torch.where(_over(self.mine & self.known, state), state, torch.zeros_like(state))
        return theirs.sum(dim=1)

    def put(self, state: Tensor, following: Tensor, start: Tensor) -> Tensor:
        """(B, S, …) with the speaker's next state (B, …) in its slot; others' go at a start."""
        return torch.where(_over(self.mine, state), following[:, None], kept(state, start))


def kept(state: Tensor, start: Tensor) -> Tensor:
    """(B, …), zeros where a conversation begins, whatever the server left there."""
    return torch.where(_over(start > 0, state), torch.zeros_like(state), state)


def _over(flags: Tensor, state: Tensor) -> Tensor:
    """(B, S or 1) as it broadcasts over (B, S, …)."""
    return flags.reshape(*flags.shape, *[1] * (state.dim() - 2))


class ServedStep(nn.Module):
    """One turn of each conversation of a batch."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def forward(
        self,
        text: Tensor,
        audio: Tensor,
        audio_mask: Tensor,
        face: Tensor,
        face_mask: Tensor,
        modality_mask: Tensor,
        quality: Tensor,
        speaker: Tensor,
        start: Tensor,
        holders: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Features as those of the step, with B for 1; `state` in the order of `State`, speakers'
        with S after B -> estimates, holders and next states. There are no episodes."""
        config = self.step.config
        slots = Slots.of(speaker, start, holders)
        before = [
            slots.take(value) if name in SPEAKER_STATES else kept(value, start)
            for name, value in zip(State._fields, state, strict=True)
        ]
        episodes = text.new_zeros(text.shape[0], config.episodes, config.width)
        results = self.step(
            text,
            audio,
            audio_mask,
            face,
            face_mask,
            modality_mask,
            quality,
            episodes,
            episodes[..., 0],
            speaker.to(text.dtype),
            *before,
        )
        estimates, following = results[:4], results[4:]
        after = [
            slots.put(value, next_value, start) if name in SPEAKER_STATES else next_value
            for name, value, next_value in zip(State._fields, state, following, strict=True)
        ]
        return *estimates, slots.holders, *after


class ServedAudio(nn.Module):
    """What one speaker of each conversation of a batch said, as many windows of each."""

    def __init__(self, encoder: AudioEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, pcm: Tensor, speaker: Tensor, start: Tensor, holders: Tensor, voice: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """pcm (B, windows, 48000), voice (B, S, 3, 64) -> features (B, windows, width), holders and
        next voices."""
        slots = Slots.of(speaker, start, holders)
        before = slots.take(voice)
        batch, windows, _ = pcm.shape
        level = self.encoder.level(self.encoder.log_mel(pcm.flatten(0, 1)))
        features = self.encoder.encode(level, before.repeat_interleave(windows, dim=0))
        heard = sums(level).unflatten(0, (batch, windows)).sum(dim=1)
        following = slots.put(voice, remember(before, heard), start)
        return features.unflatten(0, (batch, windows)), slots.holders, following
