"""Audio and face encoders: what a voice is normalised by, how faces are scaled, what comes out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dcet.runtime.arrays import FACE_PIXELS, LUMA, WINDOW_SAMPLES
from dcet.runtime.errors import ConfigError
from dcet.runtime.labels import EMOTIONS
from dcet.synthetic.probes import speech
from dcet.training.augment.faces import corrupt_faces
from dcet.training.augment.speech import (
    SHORTEST,
    _cut,
    add_noise,
    corrupt_level,
    corrupt_pcm,
    cut_anywhere,
    noise_level,
)
from dcet.training.corpora.sounds import read_sounds
from dcet.training.corpora.speech import Speech, earlier_voice, read_noises, read_unacted
from dcet.training.encoders.datasets import SpeechDataset
from dcet.training.network.audio_encoder import (
    REMEMBERED_WINDOWS,
    VOICE_SHAPE,
    AudioConfig,
    AudioEncoder,
    sums,
)
from dcet.training.network.face_encoder import FaceConfig, FaceEncoder, to_grey
from tests.tiny_senses import tone


@pytest.fixture
def audio() -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(AudioConfig(channels=(4, 4, 8), width=16)).eval()


@pytest.fixture
def face() -> FaceEncoder:
    torch.manual_seed(0)
    return FaceEncoder(FaceConfig(channels=(4, 4, 8), width=16)).eval()


def windows(*hz: float) -> torch.Tensor:
    """(n, 48000), each of two seconds."""
    pcm = torch.zeros(len(hz), WINDOW_SAMPLES)
    for row, height in zip(pcm, hz, strict=True):
        row[:32_000] = torch.from_numpy(tone(height, 2.0))
    return pcm


@torch.inference_mode()
def test_loudness_says_nothing(audio: AudioEncoder) -> None:
    voice = torch.zeros(1, *VOICE_SHAPE)
    pcm = windows(300, 700)
    loud, quiet = (audio(pcm * gain, voice)[0] for gain in (1.0, 0.1))
    assert torch.allclose(loud, quiet, atol=1e-3)
    assert not torch.allclose(loud[0], loud[1], atol=1e-3)


@torch.inference_mode()
def test_the_voice_matters_and_adds_up(audio: AudioEncoder) -> None:
    nothing = torch.zeros(1, *VOICE_SHAPE)
    first, after_first = audio(windows(300), nothing)
    _, after_both = audio(windows(500), after_first)
    _, at_once = audio(windows(300, 500), nothing)
    assert torch.allclose(after_both, at_once, atol=1e-4)
    assert after_first[0, 0] == pytest.approx(2 / 3, abs=0.05)  # two of three seconds sound
    again, _ = audio(windows(300), after_both)
    assert not torch.allclose(first, again, atol=1e-3)


@torch.inference_mode()
def test_silence_leaves_the_voice_alone_and_the_features_finite(audio: AudioEncoder) -> None:
    _, voice = audio(windows(300), torch.zeros(1, *VOICE_SHAPE))
    features, after = audio(torch.zeros(1, WINDOW_SAMPLES), voice)
    assert torch.equal(after, voice)
    assert torch.isfinite(features).all()


@torch.inference_mode()
def test_the_oldest_speech_fades(audio: AudioEncoder) -> None:
    voice = torch.zeros(1, *VOICE_SHAPE)
    for _ in range(12):
        _, voice = audio(windows(*[300.0] * 10), voice)
    assert voice[:, 0].max() <= REMEMBERED_WINDOWS + 1e-3
    mean = voice[0, 1] / voice[0, 0]
    alone = audio(windows(300), torch.zeros(1, *VOICE_SHAPE))[1][0]
    assert torch.allclose(mean, alone[1] / alone[0], atol=1e-4)


def test_what_is_said_later_changes_nothing_before() -> None:
    level = torch.rand(8, 64, 94)
    speaker = torch.tensor([0, 1, 0, 0, 1, 2, 0, 1])
    voice = earlier_voice(Speech(level, torch.zeros(8), speaker, None))
    for later in range(8):
        changed = level.clone()
        changed[later] = torch.rand(64, 94)
        after = earlier_voice(Speech(changed, torch.zeros(8), speaker, None))
        assert torch.equal(after[: later + 1], voice[: later + 1])  # nor itself
        assert torch.equal(after[speaker != speaker[later]], voice[speaker != speaker[later]])
    assert not voice[[0, 1, 5]].any()  # there is no speech before the first clip
    assert torch.allclose(voice[6], sums(level[[0, 2, 3]]).sum(dim=0), atol=1e-4)


@pytest.mark.parametrize("channels", [(4, 8), (4, 4, 8, 8)])
def test_three_stages_or_none(channels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected three"):
        AudioConfig(channels=channels)


@pytest.mark.parametrize("size", [(48, 48), (96, 60), (31, 131), (224, 224), (20, 20)])
def test_faces_are_scaled_as_torch_does_antialiased(size: tuple[int, int]) -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8))
    grey = (pixels.float() @ torch.tensor(LUMA))[:, None]
    expected = torch.nn.functional.interpolate(
        grey, (FACE_PIXELS, FACE_PIXELS), mode="bilinear", antialias=True, align_corners=False
    )[:, 0]
    assert torch.allclose(to_grey(pixels), expected, atol=0.02)


@torch.inference_mode()
def test_light_says_little_and_faces_do_not_know_of_each_other(face: FaceEncoder) -> None:
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 128, (3, 50, 60, 3), np.uint8))
    features = face(pixels)
    assert torch.allclose(face(pixels + 100), features, atol=1e-3)
    assert torch.allclose(torch.cat([face(one[None]) for one in pixels]), features, atol=1e-4)
    for flat in (0, 255):
        assert torch.isfinite(face(torch.full((1, 10, 10, 3), flat, dtype=torch.uint8))).all()


@pytest.mark.parametrize("seed", range(3))
def test_corrupted_speech_stays_in_range(seed: int) -> None:
    torch.manual_seed(seed)
    level = torch.rand(40, 64, 94)
    level[:, :, 70:] = 0
    level[0] = 0  # silence
    corrupted = corrupt_level(level)
    assert corrupted.shape == level.shape
    assert torch.isfinite(corrupted).all()
    assert corrupted.min() >= -1e-3
    assert corrupted.max() <= 2.2
    assert not torch.equal(corrupted[1:], level[1:])
    pcm = windows(*[300.0] * 12)
    pcm[0] = 0
    heard = corrupt_pcm(pcm)
    assert torch.isfinite(heard).all()
    assert heard.shape == pcm.shape
    assert not heard[0].any()


def test_noise_is_as_strong_as_asked() -> None:
    torch.manual_seed(0)
    pcm = windows(300, 400, 500)
    asked = torch.tensor([0.0, 10.0, 20.0])
    noise = (add_noise(pcm, asked) - pcm)[:, :32_000]
    found = 10 * torch.log10(pcm[:, :32_000].square().mean(1) / noise.square().mean(1))
    assert torch.allclose(found, asked, atol=1.0)
    assert not add_noise(pcm, asked)[:, 32_000:].any()  # padding stays silent
    level = torch.rand(2, 64, 94)
    nearer = (noise_level(level, torch.full((2,), 40.0)) - level).abs().mean()
    assert nearer < (noise_level(level, torch.full((2,), 0.0)) - level).abs().mean()


@pytest.mark.parametrize("seed", range(3))
def test_corrupted_faces_stay_in_range(seed: int) -> None:
    torch.manual_seed(seed)
    grey = 255 * torch.rand(64, FACE_PIXELS, FACE_PIXELS)
    corrupted = corrupt_faces(grey)
    assert corrupted.shape == grey.shape
    assert torch.isfinite(corrupted).all()
    assert corrupted.min() >= 0
    assert corrupted.max() <= 255
    assert not torch.equal(corrupted, grey)


def test_sounds_of_any_rate_and_number_of_channels_are_read(tmp_path: Path) -> None:
    tone = np.sin(np.arange(44_100 * 2) * 0.05).astype(np.float32) * 0.3
    soundfile.write(tmp_path / "cd.wav", np.stack([tone, tone], axis=1), 44_100, subtype="FLOAT")
    soundfile.write(tmp_path / "plain.flac", tone[:40_000], 16_000)
    pcm, files = read_sounds(tmp_path)
    assert pcm.shape == (2, WINDOW_SAMPLES)
    assert files.tolist() == [0, 1]
    assert pcm[0, :32_000].square().mean().sqrt() == pytest.approx(0.3 / 2**0.5, rel=0.02)
    assert not pcm[0, 32_010:].any()


def test_talk_that_nobody_acted_is_mostly_neutral_and_noise_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.wav", speech(9, seed=1), 16_000)
    soundfile.write(tmp_path / "pause.wav", np.zeros(64_000, np.float32), 16_000)
    talk = read_unacted(tmp_path)
    assert len(talk) == 3  # of 4 s each; the pause is left out
    assert talk.pcm is not None
    assert talk.pcm.shape[1] == 64_000
    dataset = SpeechDataset([talk, read_noises(tmp_path)], mixup=0.0)
    _, target = dataset.batch(torch.arange(len(dataset)))
    assert target is not None
    assert torch.allclose(target[:3, EMOTIONS.index("neutral")], torch.tensor(0.75 + 0.25 / 7))
    assert torch.allclose(target[3:], torch.tensor(1 / 7))


def test_a_cut_is_the_sound_from_another_sample_on() -> None:
    torch.manual_seed(0)
    pcm = torch.arange(64_000.0)[None] + 1
    starts = {int(cut_anywhere(pcm)[0, 300]) for _ in range(20)}
    assert len(starts) > 10
    cut = cut_anywhere(pcm)[0]
    inside = cut[cut > 0]
    assert len(inside) >= WINDOW_SAMPLES - 256
    assert (inside.diff() == 1).all()


def test_what_is_cut_lies_in_the_middle_of_silence() -> None:
    torch.manual_seed(1)
    power = 0.5 + torch.rand(200, 64, 94)
    lengths = []
    for part in _cut(power):
        heard = part.amax(dim=0).nonzero()[:, 0]
        first, last = int(heard[0]), int(heard[-1])
        lengths.append(last - first + 1)
        assert len(heard) == lengths[-1]
        assert abs(first - (93 - last)) <= 1
    assert min(lengths) >= SHORTEST
    assert max(lengths) > 80
