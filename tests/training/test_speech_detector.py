"""The speech detector: a stream heard in pieces, its log-mels, its size."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.audio_utils import mel_filter_bank

from dcet.export.graphs import export_speech
from dcet.runtime.arrays import HOP_SAMPLES
from dcet.synthetic.probes import speech
from dcet.training.network.speech_detector import (
    LOWEST_HZ,
    MELS,
    MIDDLE_DB,
    N_FFT,
    SPREAD_DB,
    HopMels,
    SpeechConfig,
    SpeechDetector,
)

HOPS = 24


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    torch.manual_seed(0)
    made = SpeechDetector(SpeechConfig(channels=8, dilations=(1, 2, 4)))
    for parameter in made.parameters():  # what is learned is not as small as what is drawn
        parameter.data *= 2
    return made.eval()


@pytest.fixture(scope="module")
def pcm() -> torch.Tensor:
    return torch.from_numpy(speech(3)[None, : HOPS * HOP_SAMPLES])


@settings(max_examples=25)
@given(st.sets(st.integers(1, HOPS - 1)))
@torch.inference_mode()
def test_a_stream_in_pieces_gives_what_it_gives_whole(
    detector: SpeechDetector, pcm: torch.Tensor, cuts: set[int]
) -> None:
    fresh = torch.zeros(1, detector.state_size)
    whole, last = detector(pcm, fresh)
    state, heard = fresh, []
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), HOPS], strict=True):
        voice, state = detector(pcm[:, start * HOP_SAMPLES : stop * HOP_SAMPLES], state)
        heard.append(voice)
    torch.testing.assert_close(torch.cat(heard, dim=1), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-4, rtol=0)
    assert whole.std() > 1e-3


@torch.inference_mode()
def test_what_comes_later_changes_nothing_before(
    detector: SpeechDetector, pcm: torch.Tensor
) -> None:
    fresh = torch.zeros(1, detector.state_size)
    changed = pcm.clone()
    changed[:, 10 * HOP_SAMPLES :] = 0.5
    before, after = (detector(sound, fresh)[0] for sound in (pcm, changed))
    torch.testing.assert_close(after[:, :10], before[:, :10], atol=1e-5, rtol=0)
    assert (after[:, 10:] - before[:, 10:]).abs().max() > 1e-3


@torch.inference_mode()
def test_log_mels_are_those_of_a_plain_transform() -> None:
    rng = np.random.default_rng(0)
    frame = (rng.normal(0, 0.1, N_FFT) + 0.2).astype(np.float32)
    window = np.hanning(N_FFT + 1)[:-1]
    power = np.square(np.abs(np.fft.rfft(frame * window * 2 / window.sum())))
    filters = mel_filter_bank(
        N_FFT // 2 + 1, MELS, LOWEST_HZ, 8000.0, 16_000, norm=None, mel_scale="htk"
    )
    expected_db = 10 * np.log10(power @ filters)
    frames = torch.from_numpy(np.stack([frame, frame]))[None, None]
    level = HopMels()(frames)[0, :, 0].numpy()
    np.testing.assert_allclose(
        level * SPREAD_DB + MIDDLE_DB, np.tile(expected_db, 2), atol=1e-3, rtol=0
    )


def test_a_sine_of_full_scale_is_at_0_db_and_silence_at_the_floor() -> None:
    sine = torch.sin(torch.arange(2 * N_FFT) * (2 * torch.pi * 1000 / 16_000))
    heard = HopMels()(sine.reshape(1, 1, 2, N_FFT)) * SPREAD_DB + MIDDLE_DB
    assert heard.max() == pytest.approx(0, abs=2)
    nothing = HopMels()(torch.zeros(1, 1, 2, N_FFT)) * SPREAD_DB + MIDDLE_DB
    torch.testing.assert_close(nothing, torch.full_like(nothing, -100.0))


def test_the_graph_is_small() -> None:
    graph = export_speech(SpeechDetector(SpeechConfig()), 18, 10)
    assert graph.ByteSize() <= 300_000
