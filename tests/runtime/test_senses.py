"""Preparation of audio, pictures and text for the step."""

import struct
import sys
import threading
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dcet.runtime import Bundle, Conversation, Features
from dcet.runtime.engines.engine import Engine, Pending
from dcet.runtime.errors import EmptyTurn, EngineError, MissingExtra
from dcet.runtime.senses import face_finder
from dcet.runtime.senses.audio import PreparedAudio, cut_windows, prepare_audio
from dcet.runtime.senses.face import crop_qualities, spread, to_crop, to_rgb
from dcet.runtime.senses.picture_size import picture_size
from dcet.synthetic.probes import speech
from tests.runtime.probe import probed, remembered, states
from tests.runtime.signals import face

few = settings(max_examples=30)
SIDE_BY_SIDE = ("text", "audio", "face", "face")  # faces of two sizes
Array = NDArray[Any]


class Spy:
    """Records what an engine is fed, graph by graph."""

    def __init__(self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fed: dict[str, list[dict[str, Array]]] = {}
        engine = bundle.engine()
        run = engine.run

        def spy(graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            kept = {name: array.copy() for name, array in inputs.items()}
            self.fed.setdefault(graph, []).append(kept)
            return run(graph, inputs)

        monkeypatch.setattr(engine, "run", spy)


@pytest.fixture
def spy(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(bundle, monkeypatch)


def prepare(audio: Array, sample_rate_hz: int = 16_000) -> PreparedAudio:
    return prepare_audio(audio, sample_rate_hz, most_samples=8 * 48_000)


def voice(conversation: Conversation, speaker: str) -> Array:
    found: Array = states(conversation, speaker)["voice"]
    return found


# PreparedAudio


@few
@given(st.integers(1, 24 * 160))
def test_windows_cover_the_sound_from_end_to_end(hundreds: int) -> None:
    pcm = np.arange(1, hundreds * 100 + 1, dtype=np.float32)
    windows = cut_windows(pcm, 48_000, 8)
    if len(pcm) <= 48_000:
        middle = (48_000 - len(pcm)) // 2
        expected = np.pad(pcm, (middle + 128, 48_128 - len(pcm) - middle))
        assert np.array_equal(windows, [expected[256:], expected[:48_000]])
        assert np.array_equal(cut_windows(pcm, 48_000, 1), [expected[128:-128]])
        return
    assert windows.shape == (-(-len(pcm) // 48_000), 48_000)
    assert windows[0, 0] == pcm[0]
    assert windows[-1, -1] == pcm[-1]
    assert (np.diff(windows, axis=1) == 1).all()  # each in one piece, none padded
    gaps = np.diff(windows[:, 0])
    assert (gaps <= 48_000).all()  # no sample between two
    assert np.ptp(gaps) <= 1


def test_three_seconds_are_heard_twice_and_a_sample_more_makes_two() -> None:
    first, second = cut_windows(prepare(speech(3)).pcm, 48_000, 8)
    assert np.array_equal(first[:-256], second[256:])
    assert len(cut_windows(prepare(np.append(speech(3), np.float32(0.1))).pcm, 48_000, 8)) == 2
    assert len(cut_windows(prepare(speech(24)).pcm, 48_000, 8)) == 8


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_another_rate_is_the_same_sound(rate: int) -> None:
    """Tones below 3 kHz, in bursts, as they would have been recorded at 16 kHz."""

    def recorded(rate: int) -> Array:
        seconds = np.arange(2 * rate) / rate
        tones = sum(np.sin(2 * np.pi * hz * seconds) for hz in (220, 1_000, 2_700))
        return (0.2 * tones * np.sin(np.pi * 2 * seconds) ** 2).astype(np.float32)

    resampled, direct = prepare(recorded(rate), rate), prepare(recorded(16_000))
    assert resampled.pcm.dtype == np.float32
    assert resampled.notes == ()
    np.testing.assert_allclose(resampled.pcm, direct.pcm, atol=2e-3)
    assert resampled.quality == pytest.approx(direct.quality, abs=0.05)


@few
@given(st.integers(1, 400_000), st.integers(1, 60_000))
def test_any_rate_gives_windows_or_a_reason(bundle: Bundle, rate: int, count: int) -> None:
    audio = np.resize(speech(3), count)
    conversation = Conversation(bundle)
    if count / rate < 0.1 or count == 1:  # a single sample has no sound
        with pytest.raises(EmptyTurn, match=r"at least 100 ms|silent"):
            conversation.turn("Ann", audio=audio, sample_rate_hz=rate)
    else:
        estimate = conversation.turn("Ann", audio=audio, sample_rate_hz=rate)
        assert 0 <= estimate.quality["audio"] <= 1


def test_number_formats_are_the_same_sound() -> None:
    whole = np.round(speech(1) * 2**15).astype(np.int16)
    expected = prepare(whole)
    for dtype in (np.float32, np.float64):
        sound = prepare((whole / 2**15).astype(dtype))
        np.testing.assert_array_equal(sound.pcm, expected.pcm)
        assert (sound.quality, sound.notes) == (expected.quality, ())


def test_channels_are_mixed() -> None:
    left, right = speech(1, seed=1), speech(1, seed=2)
    stereo = prepare(np.stack([left, right], axis=1))
    np.testing.assert_allclose(stereo.pcm, prepare((left + right) / 2).pcm, atol=1e-6)
    one_of_two = prepare(np.stack([left, 0 * left], axis=1))
    np.testing.assert_allclose(one_of_two.pcm, prepare(left / 2).pcm, atol=1e-6)


@pytest.mark.parametrize("offset", [0.3, -0.5])
def test_an_offset_is_taken_away(offset: float) -> None:
    clean, shifted = prepare(speech(1)), prepare(speech(1) + np.float32(offset))
    np.testing.assert_allclose(shifted.pcm, clean.pcm, atol=1e-5)
    assert shifted.quality == pytest.approx(clean.quality, abs=0.01)
    assert shifted.notes == ()


def test_clipping_is_noticed_and_lowers_the_quality(bundle: Bundle) -> None:
    clean = speech(2)
    qualities = []
    for gain in (1, 4, 8, 100):
        clipped = (np.clip(clean * gain, -1, 1) * 32_767).astype(np.int16)
        estimate = Conversation(bundle).turn("Ann", audio=clipped)
        share = (np.abs(clipped) >= 32_440).mean()
        note = f"audio: clipped: {share:.1%} of the samples are at full scale"
        assert estimate.degraded == ((note,) if gain > 1 else ())
        qualities.append(estimate.quality["audio"])
    assert qualities[0] > 0.9
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[1] < qualities[0] - 0.05
    assert qualities[-1] == 0


def test_a_peak_at_full_scale_is_not_clipping() -> None:
    clean = speech(1)
    assert prepare(clean / np.abs(clean).max()).notes == ()


@pytest.mark.parametrize("scale", [2.0**15, 1e30, 1e300])
def test_numbers_beyond_full_scale_are_scaled_and_named(scale: float) -> None:
    """This holds for samples too loud for 32 bits as well."""
    loud = speech(1).astype(np.float64) * scale
    sound = prepare(loud)
    assert sound.notes == (
        f"samples reach {np.abs(loud).max():.6g}, expected [-1, 1]; scaled down",
    )
    assert np.abs(sound.pcm).max() == pytest.approx(1, abs=0.01)
    assert sound.quality == pytest.approx(prepare(speech(1)).quality, abs=0.01)


@pytest.mark.parametrize("gain", [1.0, 1.8, 30.0, 2.0**15])
def test_loud_numbers_are_not_called_clipped_unless_they_are_flat(gain: float) -> None:
    """Speech of which many samples come near its peak, as after a limiter, and the same cut."""
    limited = np.tanh(speech(2).astype(np.float64) * 8)
    limited /= np.abs(limited).max()
    assert (np.abs(limited) >= 0.99).mean() > 0.01
    notes = prepare(limited * gain).notes
    assert [note.split()[0] for note in notes] == (["samples"] if gain > 1 else ["clipped:"])
    cut = np.clip(limited, -0.9, 0.9) / 0.9 * gain
    assert prepare(cut).notes[-1].startswith("clipped:")
    assert prepare(cut).quality < prepare(limited * 1.8).quality


def test_noise_lowers_the_quality(bundle: Bundle) -> None:
    clean = speech(2)
    noise = np.random.default_rng(1).standard_normal(len(clean)).astype(np.float32)
    qualities = [
        Conversation(bundle).turn("Ann", audio=clean + level * noise).quality["audio"]
        for level in (0, 0.01, 0.1, 0.3)
    ]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] > 0.9
    assert qualities[-1] < 0.2


def test_what_is_heard_is_what_the_graph_gives(bundle: Bundle, spy: Spy) -> None:
    """Windows in their order, the mask on as many as there are, the quality as it was measured."""
    noise = np.random.default_rng(1).normal(0, 0.02, 7 * 16_000).astype(np.float32)
    estimate = Conversation(bundle).turn("Ann", audio=speech(7) + noise)
    (fed,), (step,) = spy.fed["audio"], spy.fed["step"]
    assert fed["pcm"].shape == (3, 48_000)
    assert not fed["voice"].any()
    features = bundle.engine().run("audio", fed)["features"]
    np.testing.assert_array_equal(step["audio"][0, :3], features)
    assert not step["audio"][0, 3:].any()
    assert step["audio_mask"].tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]
    assert step["modality_mask"].tolist() == [[0, 1, 0]]
    assert step["quality"][0].tolist() == pytest.approx(list(estimate.quality.values()))
    assert 0 < estimate.quality["audio"] < 1


# The voice


Turns = list[tuple[str, bool, float, bool]]
turns = st.lists(
    st.tuples(
        st.sampled_from(["Ann", "Ben", "Cem"]),
        st.booleans(),  # with text
        st.sampled_from([0, 0.02, 0.5, 4]),  # seconds of audio; 0.02 cannot be used
        st.booleans(),  # the step fails
    ),
    max_size=10,
)


@few
@given(turns)
def test_a_voice_is_kept_when_answered_and_never_shared(bundle: Bundle, script: Turns) -> None:
    """Each speaker's is what their own turns, heard and answered, make of zeros."""
    engine = bundle.engine()
    expected: dict[str, Array] = {}

    class Failing(Engine):
        name, reason, fails = engine.name, engine.reason, False

        def run(self, graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            if graph == "step" and self.fails:
                raise EngineError("out of memory")
            return engine.run(graph, inputs)

    failing = Failing()
    conversation = probed(bundle, failing)
    for number, (speaker, has_text, seconds, fails) in enumerate(script):
        audio = speech(seconds, seed=number) if seconds else None
        failing.fails = fails
        try:
            conversation.turn(speaker, "fine" if has_text else None, audio)
        except (EngineError, EmptyTurn):
            continue
        before = expected.get(speaker, np.zeros((1, 3, 64), np.float32))
        expected[speaker] = before
        if audio is not None and seconds > 0.1:
            inputs = {"pcm": cut_windows(prepare(audio).pcm, 48_000, 8), "voice": before}
            expected[speaker] = engine.run("audio", inputs)["next_voice"]
    assert set(conversation.speakers) == set(expected)
    for speaker in ("Ann", "Ben", "Cem"):
        known = expected.get(speaker, np.zeros((1, 3, 64), np.float32))
        np.testing.assert_array_equal(voice(conversation, speaker), known)


def test_encoders_run_side_by_side_where_the_engine_can(bundle: Bundle) -> None:
    """All are begun before the first is waited for."""
    engine = bundle.engine()
    events: list[str] = []

    class Ahead(Engine):
        name, reason = engine.name, engine.reason

        def run(self, graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            return engine.run(graph, inputs)

        def start(self, graph: str, inputs: Mapping[str, Array]) -> Pending:
            events.append(f"begin {graph}")

            def finish() -> dict[str, Array]:
                events.append(f"end {graph}")
                return engine.run(graph, inputs)

            return finish

    turn = ("Ann", "fine", speech(1), [face(48), face(48), face(60)])
    estimate = Conversation(bundle, Ahead()).turn(*turn)
    begun, ended = ([f"{what} {graph}" for graph in SIDE_BY_SIDE] for what in ("begin", "end"))
    assert events == [*begun, *ended, "begin step", "end step"]
    assert estimate.probabilities == Conversation(bundle, engine).turn(*turn).probabilities


def test_a_known_voice_is_heard_otherwise(bundle: Bundle) -> None:
    """The encoder alone: what the step remembers of the speaker is another matter."""

    def features(conversation: Conversation) -> Array:
        return conversation.encode("Ann", audio=speech(1)).features["audio"]

    known, fresh = Conversation(bundle), Conversation(bundle)
    known.turn("Ann", audio=speech(3, seed=1))
    assert np.abs(features(known) - features(fresh)).max() > 1e-3


def test_a_turn_without_sound_leaves_the_voice(bundle: Bundle) -> None:
    conversation = probed(bundle)
    conversation.turn("Ann", audio=speech(1))
    before = voice(conversation, "Ann")
    assert before.any()
    conversation.turn("Ann", "fine")
    conversation.turn("Ann", "fine", audio=speech(0.02))
    conversation.turn("Ann", audio=Features(np.ones((1, 3), np.float32)))
    conversation.turn("Ben", audio=speech(1))
    assert np.array_equal(voice(conversation, "Ann"), before)


def test_a_voice_that_is_nan_is_not_kept(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = probed(bundle)
    conversation.turn("Ann", audio=speech(1))
    before = remembered(conversation)
    engine = bundle.engine()
    run = engine.run

    def run_badly(graph: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = run(graph, inputs)
        if graph == "audio":
            outputs["next_voice"] = np.full_like(outputs["next_voice"], np.nan)
        return outputs

    with monkeypatch.context() as patch:
        patch.setattr(engine, "run", run_badly)
        with pytest.raises(EngineError, match="graph 'audio': expected finite"):
            conversation.turn("Ann", "fine", audio=speech(1))
    assert remembered(conversation) == before


def test_a_voice_is_forgotten(bundle: Bundle) -> None:
    def heard(**options: Any) -> Conversation:
        conversation = probed(bundle, **options)
        conversation.turn("Ann", audio=speech(1))
        assert voice(conversation, "Ann").any()
        return conversation

    forgotten, reset, evicted = heard(), heard(), heard(max_speakers=1)
    forgotten.forget("Ann")
    reset.reset()
    evicted.turn("Ben", "fine")
    for conversation in (forgotten, reset, evicted):
        assert not voice(conversation, "Ann").any()


# Pictures


@few
@given(st.integers(1, 60), st.integers(1, 8))
def test_images_are_spread_over_the_turn(count: int, most: int) -> None:
    kept = spread(range(count), most)
    places = [place for place, _ in kept]
    assert [item for _, item in kept] == places
    assert len(set(places)) == len(places) == min(count, most)
    assert places[0] == 0
    assert most == 1 or places[-1] == count - 1
    assert np.ptp(np.diff(places)) <= 1 if len(places) > 1 else True


def test_forty_faces(bundle: Bundle, spy: Spy) -> None:
    faces = [np.full((20, 20, 3), 5 * i, np.uint8) for i in range(40)]
    for image in faces:
        image[:10] = 255
    estimate = Conversation(bundle).turn("Ann", faces=faces)
    assert estimate.degraded == ("face: 8 of 40 images are used, evenly spread",)
    (fed,), (step,) = spy.fed["face"], spy.fed["step"]
    used = [round(i * 39 / 7) for i in range(8)]
    assert np.array_equal(fed["pixels"], np.stack([faces[i] for i in used]))
    assert step["face_mask"].all()


def test_crops_of_one_size_are_one_batch(bundle: Bundle, spy: Spy) -> None:
    """And every face gets what it gets alone, in its place."""
    faces = [face(side, seed=i) for i, side in enumerate((20, 30, 20, 30, 40))]
    Conversation(bundle).turn("Ann", faces=faces)
    assert [fed["pixels"].shape[:2] for fed in spy.fed["face"]] == [(2, 20), (2, 30), (1, 40)]
    features = spy.fed["step"][0]["face"][0]
    for i, image in enumerate(faces):
        alone = bundle.engine().run("face", {"pixels": image[None]})["features"][0]
        np.testing.assert_allclose(features[i], alone, atol=1e-6)
    assert not features[5:].any()


def test_colours() -> None:
    rgb = face(20)
    assert np.array_equal(to_rgb(rgb, "rgb"), rgb)
    assert np.array_equal(to_rgb(rgb[..., ::-1], "bgr"), rgb)
    alpha = np.full((20, 20, 1), 7, np.uint8)
    assert np.array_equal(to_rgb(np.dstack([rgb, alpha]), "rgb"), rgb)
    assert np.array_equal(to_rgb(np.dstack([rgb[..., ::-1], alpha]), "bgr"), rgb)
    for grey in (rgb[..., 0], rgb[..., :1]):
        for colors in ("rgb", "bgr"):
            assert np.array_equal(to_rgb(grey, colors), np.stack([rgb[..., 0]] * 3, axis=2))


def test_a_file_is_what_it_shows(bundle: Bundle) -> None:
    """Whatever order the channels of arrays have."""
    rgb = face(64)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    png = cv2.imencode(".png", bgr)[1].tobytes()
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    for colors in ("rgb", "bgr"):
        assert np.array_equal(to_rgb(png, colors), rgb)
    shown = to_rgb(jpeg, "rgb").astype(int)
    assert np.abs(shown - rgb).mean() < 8 < np.abs(shown - bgr).mean()
    by_file = Conversation(bundle).turn("Ann", faces=[png])
    assert by_file.probabilities == Conversation(bundle).turn("Ann", faces=[rgb]).probabilities


def test_an_array_of_faces_is_a_list_of_them(bundle: Bundle) -> None:
    faces = [face(20, seed=i) for i in range(3)]
    one = Conversation(bundle).turn("Ann", faces=faces)
    # Typed as a list; what a decoder of videos gives is an array.
    other = Conversation(bundle).turn("Ann", faces=np.stack(faces))  # type: ignore[arg-type]
    assert one.probabilities == other.probabilities


def test_a_bad_face_is_left_out_of_the_others(bundle: Bundle) -> None:
    good = face(20)
    estimate = Conversation(bundle).turn("Ann", faces=[good, face(4), b"GIF89a", good])
    assert estimate.degraded == (
        "face: faces[1]: 4×4 pixels; at least 12×12 are needed",
        "face: faces[2]: 6 bytes that are no JPEG, PNG, WebP or BMP OpenCV can decode",
    )
    expected = Conversation(bundle).turn("Ann", faces=[good, good])
    assert estimate.probabilities == expected.probabilities
    assert estimate.quality == expected.quality


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((12, 12), (12, 12)),
        ((191, 96), (191, 96)),
        ((192, 300), (96, 100)),
        ((1080, 1920), (108, 96)),
        ((4000, 100), (100, 100)),
    ],
)
def test_large_crops_are_made_smaller(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Their colours stay: the mean is that of the whole, and a smooth picture stays smooth."""
    height, width = size
    rows, columns = np.linspace(0, 200, height)[:, None], np.linspace(0, 55, width)[None]
    image = (rows + columns).astype(np.uint8)[..., None].repeat(3, axis=2)
    crop = to_crop(image)
    assert crop.shape == (*expected, 3)
    assert crop.dtype == np.uint8
    assert crop.mean() == pytest.approx(image.mean(), abs=4)
    assert np.diff(crop.astype(int), axis=0).min() >= -1


def test_blur_and_darkness_lower_the_quality(bundle: Bundle) -> None:
    sharp = face(64)
    blurred: Any = cv2.GaussianBlur(sharp, (0, 0), 8)
    dark = sharp // 10
    pairs = [Conversation(bundle).turn("Ann", faces=[f]).quality for f in (sharp, blurred, dark)]
    assert [pair["text"] for pair in pairs] == [1, 1, 1]
    good, soft, dim = (pair["face"] for pair in pairs)
    assert good > 0.9
    assert soft < 0.3
    assert dim < 0.5
    both = Conversation(bundle).turn("Ann", faces=[sharp, blurred]).quality["face"]
    assert both == pytest.approx((good + soft) / 2)


@pytest.mark.parametrize("side", [48, 96, 150, 400])
def test_the_quality_of_a_face_is_that_of_its_sight_not_of_its_size(side: int) -> None:
    picture = cv2.GaussianBlur(face(400), (0, 0), 25)
    scaled: Any = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    at_48: Any = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
    [judged], [expected] = (crop_qualities(image[None]) for image in (to_crop(scaled), at_48))
    assert judged == pytest.approx(expected, rel=0.25)


def encoded(suffix: str, height: int, width: int, *options: int) -> bytes:
    flat = np.zeros((height, width, 3), np.uint8)
    flat[: height // 2] = 200
    return bytes(cv2.imencode(suffix, flat, options)[1].tobytes())


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", ()),
        (".bmp", ()),
        (".jpg", ()),
        (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 80)),
        (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    ],
)
def test_the_size_of_a_file_is_read_from_its_header(suffix: str, options: tuple[int, ...]) -> None:
    """And from half of a file, or from any other part, nothing, or the size."""
    data = encoded(suffix, 231, 640, *options)
    assert picture_size(data) == (231, 640)
    assert to_rgb(data, "rgb").shape == (231, 640, 3)
    for end in range(0, min(len(data), 800), 7):
        assert picture_size(data[:end]) in (None, (231, 640))


def test_a_header_may_be_long_or_endless() -> None:
    jpeg = encoded(".jpg", 20, 30)
    comments = b"\xff\xfe\xff\xff" + bytes(65_533)
    assert picture_size(jpeg[:2] + comments * 20 + b"\xff" * 9 + jpeg[2:]) == (20, 30)
    for endless in (b"\xff\xd8" + b"\xff" * 10**6, b"\xff\xd8" + b"\xff\xe0\0\0" * 10**6):
        assert picture_size(endless) is None
    canvas = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + bytes([9, 1, 0, 4, 0, 1])
    assert picture_size(canvas) == (65_541, 266)


@pytest.mark.parametrize("whole_frames", [False, True])
def test_a_picture_too_large_is_left_out_before_it_is_decoded(
    bundle: Bundle, whole_frames: bool
) -> None:
    """Such are 1,200 megapixels in a few bytes, and 70 in an array."""
    png = encoded(".png", 20, 30)
    huge = png[:16] + struct.pack(">II", 40_000, 30_000) + png[24:]
    array = np.broadcast_to(np.uint8(7), (7_000, 10_000, 3))
    tracemalloc.start()
    try:
        estimate = Conversation(bundle).turn(
            "Ann", "fine", faces=[huge, array], whole_frames=whole_frames
        )
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert estimate.degraded == (
        "face: faces[0]: 30000×40000 pixels; at most 64 megapixels can be used",
        "face: faces[1]: 7000×10000 pixels; at most 64 megapixels can be used",
    )
    assert peak_bytes < 10_000_000


# Words


def test_unknown_words_lower_the_quality(bundle: Bundle) -> None:
    def quality(text: str) -> float:
        return Conversation(bundle).turn("Ann", text).quality["text"]

    assert quality("i am happy !") == 1
    assert quality("i am 😀 !") == 0.75
    assert quality("счастлив fine") == 0.5


# All together


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_three_senses(bundle: Bundle, engine: str) -> None:
    pytest.importorskip(engine)
    conversation = Conversation(bundle, engine)
    first = conversation.turn("Ann", "i am happy", speech(4), [face(20), face(30), face(20)])
    second = conversation.turn(
        "Ann", "so sad", speech(1, sample_rate_hz=8_000), [face(31)], sample_rate_hz=8_000
    )
    expected = Conversation(bundle)
    expected.turn("Ann", "i am happy", speech(4), [face(20), face(30), face(20)])
    by_default = expected.turn(
        "Ann", "so sad", speech(1, sample_rate_hz=8_000), [face(31)], sample_rate_hz=8_000
    )
    assert second.probabilities == pytest.approx(by_default.probabilities, abs=1e-5)
    for estimate in (first, second):
        assert min(estimate.modality_weights.values()) > 0
        assert estimate.degraded == ()
        stages = {name for name, spent_ms in estimate.latency_ms.items() if spent_ms > 0}
        assert stages == {"tokenize", "text", "audio", "face", "step", "total"}


def test_what_is_given_stays_as_it_is(bundle: Bundle) -> None:
    audio, image = speech(4) + np.float32(0.1), face(200)
    before = audio.copy(), image.copy()
    Conversation(bundle).turn("Ann", audio=audio, faces=[image], colors="bgr")
    assert np.array_equal(audio, before[0])
    assert np.array_equal(image, before[1])


# What is not installed


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    def hide(package: str) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.setattr(face_finder, "_shared", threading.local())  # it may be loaded already

    return hide


@pytest.mark.parametrize(
    ("package", "extra", "given"),
    [
        ("soxr", "audio", {"audio": speech(1), "sample_rate_hz": 8_000}),
        ("cv2", "faces", {"faces": [b"\xff\xd8"]}),
        ("cv2", "faces", {"faces": [face()], "whole_frames": True}),
    ],
)
def test_a_missing_extra_is_named(
    bundle: Bundle, without: Any, package: str, extra: str, given: dict[str, Any]
) -> None:
    conversation = probed(bundle)
    before = remembered(conversation)
    without(package)
    with pytest.raises(MissingExtra, match=rf"{package} is not installed.*'dcet\[{extra}\]'"):
        conversation.turn("Ann", "fine", **given)
    assert remembered(conversation) == before


def test_the_base_install_hears_16_khz_and_sees_crops(bundle: Bundle, without: Any) -> None:
    without("soxr")
    without("cv2")
    estimate = Conversation(bundle).turn("Ann", audio=speech(1), faces=[face()])
    assert estimate.degraded == ()
    assert estimate.modality_weights["audio"] > 0
    assert estimate.modality_weights["face"] > 0


def test_real_speech_is_good_sound(data: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    samples, rate = soundfile.read(data / "media" / "whisper_jfk.flac", dtype="float32")
    sound = prepare(samples, rate)
    assert len(cut_windows(sound.pcm, 48_000, 8)) == 4
    assert sound.quality > 0.6
    assert sound.notes == ()
