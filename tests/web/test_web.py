"""A bundle in ONNX Runtime Web, through the JavaScript host of `web/`."""

import json
import re
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation, DcetError, Estimate
from dcet.runtime.bundle.golden import LABEL_AGREEMENT, TOLERANCES
from dcet.runtime.extras import need
from dcet.runtime.senses.text import normalise_text
from dcet.synthetic.probes import speech
from tests.runtime.signals import face
from tests.tiny_bundle import write_tiny_bundle
from tests.web.conftest import WEB

SAME = 1e-3  # largest difference between the hosts

QUIET = np.random.default_rng(0).normal(0, 1e-4, 40_000).astype(np.float32)
# Three are remembered, so Dan's turn makes Bob's room.
TURNS: list[dict[str, Any]] = [
    {"speaker": "Ann", "text": "I am so happy!"},
    {"speaker": "Bob", "text": "you are not really ‘happy’ now", "pcm": speech(1.3)},
    {"speaker": "Bob", "pcm": speech(0.05)},  # too short: nothing is left of the turn
    {"speaker": "Ann", "pcm": speech(4.2, seed=1) + 0.1, "faces": [face(64), face(211, seed=1)]},
    {"speaker": "Cid", "faces": [face(50 + 9 * i, seed=i) for i in range(6)]},
    {"speaker": "Ann", "text": "sunshine"},
    {"speaker": "Dan", "text": "Ω", "pcm": speech(10, seed=2) * 2.5},
    {
        "speaker": "Bob",
        "text": "it is raining, sadly. Qzx?",
        "faces": [np.full((40, 40, 3), 9, np.uint8)],
    },
    {"forget": "Ann"},
    {"speaker": "Ann", "text": "wow " * 200, "pcm": speech(3, seed=3)},
    {
        "speaker": "Dan",
        "text": "so sad",
        "pcm": speech(2, seed=4),
        "faces": [face(800, seed=3)[:, :100]],
    },
    # Control characters, other rates, loudness, and what a camera or a microphone may fail to give
    {"speaker": unicodedata.normalize("NFC", "Zoë"), "text": "I\x92m so\x1fhappy\x85 it\ufeff is"},
    {
        "speaker": unicodedata.normalize("NFD", "Zoë"),
        "text": "sunshine",
        "pcm": speech(2.5, seed=5, sample_rate_hz=44_100) * 1.8,
        "sampleRate": 44_100,
        "faces": [None, face(70, seed=6)],
    },
    {"speaker": "Ann", "pcm": speech(1.5, seed=6, sample_rate_hz=8_000), "sampleRate": 8_000},
    {"speaker": "Ann", "text": "raining", "pcm": np.append(speech(1), np.float32(np.nan))},
    # No voice: nothing is left of the first; silence around a voice
    {"speaker": "Cid", "pcm": QUIET},
    {"speaker": "Cid", "text": "it is raining", "pcm": QUIET[:24_000]},
    {"speaker": "Cid", "pcm": np.concatenate([QUIET, speech(1.5, seed=7), QUIET[:30_000]])},
]


@pytest.fixture(scope="session")
def turns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TURNS as JSON; faces are RGBA, as a canvas gives them."""
    file = tmp_path_factory.mktemp("turns") / "turns.json"
    file.write_text(json.dumps([_as_json(turn) for turn in TURNS]), encoding="utf-8")
    return file


def _image_data(rgb: NDArray[np.uint8]) -> dict[str, Any]:
    rgba = np.pad(rgb, ((0, 0), (0, 0), (0, 1)))
    return {"data": rgba.ravel().tolist(), "width": rgb.shape[1], "height": rgb.shape[0]}


def _as_json(turn: dict[str, Any]) -> dict[str, Any]:
    written = dict(turn)
    if "pcm" in turn:
        written["pcm"] = [None if np.isnan(sample) else sample for sample in turn["pcm"].tolist()]
    if "faces" in turn:
        written["faces"] = [
            None if image is None else _image_data(image) for image in turn["faces"]
        ]
    return written


@pytest.fixture(scope="session", params=["node", "chromium-wasm", "chromium-webgpu"])
def played(request: pytest.FixtureRequest, node: str, bundle: Bundle, turns: Path) -> Any:
    """Play the turns in a host, and return its answers."""
    if request.param == "node":
        ran, engine = run(node, "test/node.js", bundle.path, turns), "wasm"
    else:
        chromium, engine = request.getfixturevalue("chromium"), request.param.partition("-")[2]
        ran = run(node, "test/chromium.js", chromium, bundle.path, turns, engine)
    assert ran.returncode == 0, ran.stderr
    results = json.loads(ran.stdout)
    if engine == "webgpu" and results["engine"] == "wasm":
        pytest.skip("this Chromium has no WebGPU, not even in software")
    assert results["engine"] == engine
    return results


def run(node: str, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [node, WEB / script, *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture(scope="session")
def estimates(bundle: Bundle) -> list[Estimate | None]:
    """Play the turns in dcet.runtime; None where it refuses one."""
    conversation = Conversation(bundle, max_speakers=3)
    made: list[Estimate | None] = []
    for turn in TURNS:
        if "forget" in turn:
            conversation.forget(turn["forget"])
            made.append(None)
            continue
        try:
            made.append(
                conversation.turn(
                    turn["speaker"],
                    turn.get("text"),
                    turn.get("pcm"),
                    turn.get("faces"),
                    sample_rate_hz=turn.get("sampleRate", 16_000),
                )
            )
        except DcetError:
            made.append(None)
    return made


def test_golden_sequences_are_reproduced(played: Any, bundle: Bundle) -> None:
    cases = bundle.manifest.golden.cases
    assert {case["name"] for case in played["golden"]} == {case.name for case in cases}
    assert {"plain", "reset", "switch", "mask_audio", "text", "audio", "face", "speech"} <= {
        case.name for case in cases
    }
    tolerance = max(TOLERANCES[graph.precision] for graph in bundle.manifest.graphs.values())
    agreed: list[bool] = []  # in every step of all cases of the step
    for case in played["golden"]:
        got, expected = np.array(case["got"]), np.array(case["expected"])
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= tolerance, case["name"]
        if case["name"] not in bundle.manifest.graphs:
            agreed += (got.argmax(-1) == expected.argmax(-1)).ravel().tolist()
    assert np.mean(agreed) >= LABEL_AGREEMENT


def test_a_conversation_gives_the_numbers_of_the_runtime(
    played: Any, estimates: list[Estimate | None]
) -> None:
    assert sum(estimate is None for estimate in estimates) == 3
    assert len(played["estimates"]) == (3 if played["engine"] == "webgpu" else len(TURNS))
    for turn, theirs, ours in zip(TURNS, played["estimates"], estimates, strict=False):
        if ours is None:
            assert theirs is None or "error" in theirs, turn
            continue
        assert "error" not in theirs, theirs
        assert theirs["emotion"] == ours.emotion
        assert theirs["abstains"] == ours.abstains
        assert (theirs["shift"] is None) == (ours.shift is None)
        said = [note for note in ours.degraded if note.startswith("memory: ") or " voice" in note]
        assert theirs["degraded"] == said
        for name, expected in (
            ("probabilities", list(ours.probabilities.values())),
            ("modalityWeights", list(ours.modality_weights.values())),
            ("sentiment", ours.sentiment),
            ("shift", ours.shift or 0),
            ("confidence", ours.confidence or 0),
            ("familiarity", list(ours.familiarity.values())),
        ):
            np.testing.assert_allclose(
                np.array(theirs[name] or 0, float), expected, atol=SAME, rtol=0, err_msg=name
            )
        used = [name for name, weight in ours.modality_weights.items() if weight > 0]
        measured = {name: value for name, value in theirs["quality"].items() if value is not None}
        np.testing.assert_allclose(
            [measured.get(name, 1) for name in used], [ours.quality[n] for n in used], atol=SAME
        )


SPACED = "I am{0}happy {0} now{0}"
ODD = [
    *range(0x20),  # control characters
    *range(0x7F, 0xA1),  # and more, which Windows-1252 has others for
    *(0xAD, 0x1680, 0x180E, 0x202F, 0x205F, 0x3000, 0xFE0F, 0xFEFF, 0x1F600, 0xE000, 0xE0001),
    *range(0x2000, 0x2010),  # spaces, joiners, marks of direction
    *range(0x2018, 0x2020),  # quotes
    *range(0x2028, 0x202F),
]


def test_text_and_rates_are_those_of_the_runtime(node: str, bundle: Bundle, tmp_path: Path) -> None:
    """Whatever character stands between, before and behind words; noise up to 0.85 of Nyquist."""
    texts = ["hi\x1fthere", "hi\x85there", "I\x92m", "e\u0301"]
    texts += [SPACED.format(chr(code)) for code in ODD]
    soxr: Any = need("soxr", extra="audio")
    rng = np.random.default_rng(0)
    rates = [
        {"sampleRate": rate, "pcm": rng.normal(0, 0.1, rate).astype(np.float32).tolist()}
        for rate in (8_000, 22_050, 44_100, 48_000)
    ]
    tokenizer, cases = tmp_path / "tokenizer.json", tmp_path / "cases.json"
    tokenizer.write_bytes(bundle.read(bundle.manifest.tokenizer.file))
    cases.write_text(json.dumps({"texts": texts, "rates": rates}), encoding="utf-8")
    ran = run(node, "test/compare.js", tokenizer, cases)
    assert ran.returncode == 0, ran.stderr
    results = json.loads(ran.stdout)
    for text, theirs in zip(texts, results["texts"], strict=True):
        assert theirs["normalised"] == normalise_text(text), ascii(text)
        assert theirs["tokens"] == bundle.tokenizer.encode(normalise_text(text)).tokens, ascii(text)
    for given, theirs in zip(rates, results["rates"], strict=True):
        rate: Any = given["sampleRate"]
        ours = soxr.resample(np.array(given["pcm"], np.float32), rate, 16_000)
        assert len(theirs) == len(ours)
        spectra = np.fft.rfft(theirs), np.fft.rfft(ours)
        kept = np.fft.rfftfreq(len(ours), 1 / 16_000) < 0.85 * min(rate, 16_000) / 2
        error = np.abs(spectra[0] - spectra[1])[kept]
        assert np.square(error).sum() < 1e-5 * np.square(np.abs(spectra[1][kept])).sum()


def test_a_microphone_is_recorded_as_the_page_says(node: str, chromium: str) -> None:
    """At the rate of the device, which is another than that of the encoder."""
    ran = run(node, "test/microphone.js", chromium)
    assert ran.returncode == 0, ran.stderr
    recorded = json.loads(ran.stdout)
    assert recorded["sampleRate"] != 16_000
    assert recorded["samples"] >= recorded["sampleRate"]
    assert recorded["peak"] > 0.01


@pytest.mark.parametrize("played", ["chromium-wasm"], indirect=True)
def test_the_demo_page_shows_who_feels_what(played: Any) -> None:
    assert "on wasm" in played["demo"]["status"]
    for said, line in zip(played["demo"]["said"], ("I am so happy!", "I am not."), strict=True):
        assert line in said
        assert "surprise" in said


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            b'"schema_version": "1.',
            b'"schema_version": "2.',
            r"expected schema_version 1\.x, got 2",
        ),
        (b"[SEP]", b"[SAP]", r"tokenizer\.json: expected SHA-256 \w{64}, got \w{64}; copy"),
        (b"next_voice", b"last_voice", r"graphs/audio\.fp32\.onnx: expected SHA-256"),
        (b"PK\x05\x06", b"PK\x05\x05", "expected a whole zip"),
    ],
)
def test_a_broken_bundle_is_refused(
    node: str, tmp_path: Path, turns: Path, before: bytes, after: bytes, message: str
) -> None:
    good = write_tiny_bundle(tmp_path / "good.dcet").read_bytes()
    assert before in good
    bad = tmp_path / "bad.dcet"
    bad.write_bytes(good.replace(before, after))
    ran = run(node, "test/node.js", bad, turns)
    assert ran.returncode == 1
    assert re.search(message, ran.stderr)
