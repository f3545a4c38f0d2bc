"""Whether a voice sounds: what is left out of a turn, and what becomes of one without a voice."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcet.data.media import read_audio
from dcet.runtime import Bundle, Conversation
from dcet.runtime.bundle.checks import check_manifest
from dcet.runtime.bundle.manifest import Manifest, Speech
from dcet.runtime.errors import BundleManifestError, EmptyTurn
from dcet.runtime.senses import face_finder
from dcet.runtime.senses.audio import cut_windows, prepare_audio
from dcet.runtime.senses.face_finder import FaceFinder
from dcet.runtime.senses.speech import MARGIN_MS, voiced_part
from dcet.runtime.turn import Unusable
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, remembered
from tests.runtime.signals import face
from tests.tiny_bundle import write_tiny_bundle

HOP = 512
SPEECH = Speech(
    graph="speech",
    input="speech_state",
    output="next_speech_state",
    hop_samples=HOP,
    threshold=0.5,
    least_ms=200,
)


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle to which what is loud is a voice."""
    path = tmp_path_factory.mktemp("bundle") / "hearing.dcet"
    return Bundle.open(write_tiny_bundle(path, senses=("audio", "face", "speech")))


def quiet(seconds: float, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1e-3, round(seconds * 16_000)).astype(np.float32)


def loud(seconds: float) -> Any:
    return 0.1 * np.sin(np.arange(round(seconds * 16_000)) * 0.3).astype(np.float32)


def test_a_turn_without_a_voice_is_empty_and_leaves_the_memory(hearing: Bundle) -> None:
    conversation = probed(hearing)
    conversation.turn("Ann", "so sad", speech(2))
    before = remembered(conversation)
    with pytest.raises(EmptyTurn, match=r"audio: no voice was heard in 3\.0 s of sound"):
        conversation.turn("Ann", audio=quiet(3))
    after = remembered(conversation)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)
    assert conversation.turns == 1


def test_the_rest_of_a_turn_is_answered_without_the_sound(hearing: Bundle) -> None:
    with_noise = Conversation(hearing).turn("Ann", "so sad", quiet(3), [face()])
    without = Conversation(hearing).turn("Ann", "so sad", None, [face()])
    assert with_noise.degraded == (
        "audio: no voice was heard in 3.0 s of sound; at least 200 ms are needed",
    )
    assert with_noise.probabilities == without.probabilities
    assert with_noise.modality_weights["audio"] == 0
    assert with_noise.latency_ms["speech"] > 0


def test_a_cough_is_no_voice(hearing: Bundle) -> None:
    audio = np.concatenate([quiet(1), loud(0.1), quiet(1)])
    with pytest.raises(EmptyTurn, match=r"only (96|128) ms of a voice were heard in 2\.1 s"):
        Conversation(hearing).turn("Ann", audio=audio)


def test_silence_around_the_voice_is_left_out(hearing: Bundle) -> None:
    conversation = probed(hearing)
    audio = np.concatenate([quiet(1.5), loud(1), quiet(2)])
    engine = conversation.engine
    fed: list[Any] = []
    run = engine.run
    engine.run = lambda graph, inputs: fed.append((graph, inputs)) or run(graph, inputs)  # type: ignore
    estimate = conversation.turn("Ann", audio=audio)
    (windows,) = [inputs["pcm"] for graph, inputs in fed if graph == "audio"]
    sounding = np.flatnonzero(np.abs(windows[0]) > 0.05)
    assert len(windows) == 2
    heard = np.flatnonzero(windows[0])
    assert MARGIN_MS <= (sounding[0] - heard[0]) / 16 < MARGIN_MS + 32
    heard_ms = (heard[-1] - heard[0]) / 16
    assert heard_ms == pytest.approx(1000 + 2 * MARGIN_MS, abs=64)
    (note,) = estimate.degraded
    assert note == "audio: 3.1 s before or after the voice are left out"


def test_talk_from_end_to_end_is_used_as_it_is(hearing: Bundle) -> None:
    conversation = probed(hearing)
    audio = loud(4)
    assert conversation.turn("Ann", audio=audio).degraded == ()
    prepared = prepare_audio(audio, 16_000, most_samples=8 * 48_000)
    np.testing.assert_array_equal(
        cut_windows(prepared.pcm, 48_000, 8)[0], cut_windows(audio - audio.mean(), 48_000, 8)[0]
    )


def test_a_bundle_without_the_graph_hears_everything(bundle: Bundle) -> None:
    estimate = Conversation(bundle).turn("Ann", audio=quiet(3))
    assert bundle.manifest.speech is None
    assert estimate.degraded == ()
    assert estimate.latency_ms["speech"] == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(1, HOP))
def test_no_voiced_hop_is_left_out(voice: list[float], last: int) -> None:
    heard = np.array(voice, np.float32)
    samples = (len(heard) - 1) * HOP + last
    voiced = np.flatnonzero(heard >= SPEECH.threshold)
    if len(voiced) * 32 < SPEECH.least_ms:
        with pytest.raises(Unusable, match="heard in"):
            voiced_part(heard, SPEECH, samples)
        return
    part = voiced_part(heard, SPEECH, samples)
    maybe = np.flatnonzero(heard >= SPEECH.threshold / 2)
    assert 0 <= part.start <= maybe[0] * HOP
    assert min(samples, (maybe[-1] + 1) * HOP) <= part.stop <= samples
    assert part == slice(0, samples) or samples - (part.stop - part.start) > 4_800


def without_state(m: Any) -> None:
    del m["graphs"]["speech"]["inputs"][1]


def other_size(m: Any) -> None:
    m["graphs"]["speech"]["outputs"][1]["shape"] = [1, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["speech"].update(graph="voice"), "speech.graph: expected"),
        (lambda m: m["speech"].update(threshold=1.5), "speech.threshold: expected between 0 and 1"),
        (lambda m: m["speech"].update(least_ms=-1), "speech.least_ms: expected 0 or more"),
        (lambda m: m["speech"].update(hop_samples=0), "speech.hop_samples: expected 1 or more"),
        (without_state, "graphs.speech.inputs.speech_state: expected a state of fixed shape"),
        (other_size, "graphs.speech.outputs.next_speech_state: expected"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    hearing: Bundle, change: Callable[[Any], None], message: str
) -> None:
    manifest = json.loads(json.dumps(hearing.manifest.to_json()))
    change(manifest)
    with pytest.raises(BundleManifestError, match=message):
        check_manifest(Manifest.from_json(manifest))


def test_a_face_that_the_finder_is_not_sure_of_is_left_out(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = np.array([[20, 20, 60, 60]], np.float32)
    finder = FaceFinder()
    conversation = Conversation(bundle, face_finder=finder)
    frame = np.random.default_rng(0).integers(0, 256, (120, 120, 3)).astype(np.uint8)
    for confidence, is_used in ((0.55, False), (face_finder.SURE, True)):
        found = boxes, np.array([confidence], np.float32)
        monkeypatch.setattr(finder, "_detect", lambda _, found=found: found)
        estimate = conversation.turn("Ann", "fine", faces=[frame], whole_frames=True)
        assert (estimate.modality_weights["face"] > 0) == is_used
        reason = "face: faces[0]: the face finder is not sure of a face (0.55; at least 0.6)"
        notes = tuple(f"face: {note}" for note in finder.degraded)
        assert estimate.degraded == (notes if is_used else (reason,))


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    bundle = Bundle.default()
    if bundle.manifest.speech is None:
        pytest.skip("the bundle that ships has no graph `speech`")
    return bundle


WITHOUT_A_VOICE: dict[str, Callable[[np.random.Generator], Any]] = {
    "ten minutes of full scale": lambda rng: rng.uniform(-1, 1, 9_600_000).astype(np.float32),
    "noise at -60 dB": lambda rng: rng.normal(0, 1e-3, 48_000).astype(np.float32),
    "a tone": lambda _: 0.3 * np.sin(np.arange(48_000) * 0.17).astype(np.float32),
    "silence": lambda _: np.zeros(48_000, np.float32),
    "an offset": lambda _: np.full(48_000, 0.4, np.float32),
    "nothing": lambda _: np.zeros(0, np.float32),
}


@pytest.mark.parametrize("kind", WITHOUT_A_VOICE)
def test_what_is_no_voice_names_no_emotion(shipped: Bundle, kind: str) -> None:
    conversation = probed(shipped)
    conversation.turn("Ann", "I am so happy!")
    before = remembered(conversation)
    with pytest.raises(EmptyTurn, match="audio: "):
        conversation.turn("Ann", audio=WITHOUT_A_VOICE[kind](np.random.default_rng(0)))
    for name, value in remembered(conversation).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("file", ["whisper_jfk.flac", "pyannote_sample_2spk.wav"])
def test_people_are_heard(shipped: Bundle, data: Path, file: str) -> None:
    samples, rate = read_audio(data / "media" / file)
    part = samples[: 9 * rate]
    estimate = Conversation(shipped).turn("Ann", audio=part, sample_rate_hz=rate)
    assert estimate.modality_weights["audio"] == 1


def test_streets_are_not(shipped: Bundle, data: Path) -> None:
    """One background in four, as they are: some have people speaking far away."""
    files = sorted((data / "noise_rooms" / "emospeech_background").glob("*.flac"))[3::4]
    named = 0
    for file in files:
        samples, rate = read_audio(file)
        try:
            Conversation(shipped).turn("Ann", audio=samples, sample_rate_hz=rate)
        except EmptyTurn:
            continue
        named += 1
    assert named <= 0.25 * len(files)
