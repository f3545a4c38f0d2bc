"""A corruption does what its strength says, and a stronger one is more of the same."""

from collections.abc import Sequence

import numpy as np
import pytest

from dcet.benchmarks.robustness.corruptions import (
    add_noise,
    blur,
    darken,
    mishear,
    occlude,
)
from dcet.synthetic.noise import PINK, WHITE

RATE_HZ = 16_000


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def voice() -> np.ndarray:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    return (0.05 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32)


@pytest.fixture
def faces() -> np.ndarray:
    """Five faces without two pixels alike next to each other."""
    return rng().integers(1, 255, (5, 48, 48), np.uint8)


@pytest.mark.parametrize("fall", [WHITE, PINK])
@pytest.mark.parametrize("snr_db", [20, 5, 0])
def test_noise_has_the_power_asked_for(voice: np.ndarray, snr_db: float, fall: float) -> None:
    noise = add_noise(voice, snr_db, fall, rng()).astype(float) - voice
    measured_db = 10 * np.log10(np.square(voice).mean() / np.square(noise).mean())
    assert measured_db == pytest.approx(snr_db, abs=0.05)


@pytest.mark.parametrize(("fall", "expected_db"), [(WHITE, 0.0), (PINK, -10.0)])
def test_noise_falls_with_the_frequency_as_its_colour_says(fall: float, expected_db: float) -> None:
    noise = add_noise(np.full(16 * RATE_HZ, 0.01, np.float32), 0, fall, rng()) - 0.01
    power = np.square(np.abs(np.fft.rfft(noise)))
    low, high = (
        power[16 * hz : 16 * 2 * hz].mean() for hz in (200, 2000)
    )  # an octave a decade apart
    assert 10 * np.log10(high / low) == pytest.approx(expected_db, abs=0.7)


def test_louder_noise_is_the_same_noise(voice: np.ndarray) -> None:
    faint, loud = (add_noise(voice, snr_db, PINK, rng()).astype(float) for snr_db in (20, 0))
    np.testing.assert_allclose(loud - voice, 10 * (faint - voice), atol=1e-5)


def test_what_is_too_loud_clips() -> None:
    noisy = add_noise(np.ones(1000, np.float32), 0, WHITE, rng())
    assert noisy.dtype == np.float32
    assert (noisy.min(), noisy.max()) == (-1, 1)


def test_blur_takes_detail_and_leaves_the_light(faces: np.ndarray) -> None:
    details = [np.diff(blur(faces, sigma).astype(float), axis=2).std() for sigma in (1, 2, 5)]
    assert faces.astype(float).std() > details[0] > 2 * details[1] > 4 * details[2]
    grey = np.full((1, 48, 48), 137, np.uint8)
    np.testing.assert_array_equal(blur(grey, 3), grey)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.75])
def test_occlusion_hides_its_share(faces: np.ndarray, share: float) -> None:
    hidden = occlude(faces, share, rng())
    changed = (hidden != faces).mean(axis=(1, 2))
    np.testing.assert_allclose(changed, share, atol=0.03)
    for before, after in zip(faces, hidden, strict=True):
        assert len(np.unique(after[after != before])) == 1


def test_darkness_leaves_its_share_of_the_light_and_keeps_the_noise(faces: np.ndarray) -> None:
    dark = darken(faces, 0.25, rng()).astype(float)
    assert dark.mean() == pytest.approx(0.25 * faces.mean(), rel=0.02)
    assert darken(np.full((1, 48, 48), 100, np.uint8), 0.25, rng()).std() == pytest.approx(2, 0.1)


@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_recognition_errors_come_at_their_rate(rate: float) -> None:
    said = [f"word{number}" for number in range(1000)]
    heard = mishear(" ".join(said), rate, ["other"], rng()).split()
    assert word_errors(said, heard) / len(said) == pytest.approx(rate, abs=0.03)
    assert set(heard) - set(said) == {"other"}


def test_no_errors_leave_the_text_as_it_is() -> None:
    assert mishear("Well, no!", 0.0, ["other"], rng()) == "Well, no!"


def test_more_errors_contain_the_fewer() -> None:
    said = " ".join(f"word{number}" for number in range(500))
    few, many = (set(mishear(said, rate, ["other"], rng()).split()) for rate in (0.1, 0.4))
    assert many - {"other"} < few - {"other"}


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The least insertions, deletions and substitutions between the two (Levenshtein)."""
    costs = list(range(len(heard) + 1))
    for i, word in enumerate(said, start=1):
        diagonal, costs[0] = costs[0], i
        for j, other in enumerate(heard, start=1):
            best = min(diagonal + (word != other), costs[j] + 1, costs[j - 1] + 1)
            diagonal, costs[j] = costs[j], best
    return costs[-1]
