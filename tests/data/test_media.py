"""Files of audio: every WAV that programs write, whole, streamed and broken."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcet.data.constructed import read_material
from dcet.data.media import read_audio, read_clip, write_wav
from dcet.data.wav import GUID_TAIL
from dcet.runtime import errors
from dcet.synthetic.probes import speech
from dcet.training.corpora.speech import read_speech, read_unlabelled
from tests.tiny_recordings import SPLIT, write_recordings
from tests.tiny_senses import write_senses

TONE = (8000 * np.sin(np.arange(1000) / 20)).astype(np.int16)
MONO = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
UNKNOWN = 2**32 - 1


def chunk(id: bytes, content: bytes, size: int | None = None) -> bytes:
    return id + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks: bytes, size: int | None = None, kind: bytes = b"RIFF") -> bytes:
    content = b"WAVE" + b"".join(chunks)
    return chunk(kind, content, size)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


PCM = TONE.tobytes()
WHOLE: dict[str, bytes] = {
    "plain": riff(chunk(b"fmt ", MONO), chunk(b"data", PCM)),
    "of FFmpeg to a pipe": riff(
        chunk(b"fmt ", MONO),
        chunk(b"LIST", b"INFOabcd"),
        chunk(b"data", PCM, UNKNOWN),
        size=UNKNOWN,
    ),
    "of SoX to a pipe": riff(
        chunk(b"fmt ", MONO), chunk(b"data", PCM, 0x7FFFF000), size=0x7FFFF024
    ),
    "of arecord to a pipe": riff(
        chunk(b"fmt ", MONO), chunk(b"data", PCM, 0x80000000), size=0x80000024
    ),
    "of GStreamer to a pipe": riff(chunk(b"fmt ", MONO), chunk(b"data", PCM, 0), size=0),
    "streamed, cut inside a sample": riff(
        chunk(b"fmt ", MONO), chunk(b"data", PCM + b"\7", UNKNOWN), size=UNKNOWN
    ),
    "an odd chunk and its pad byte": riff(
        chunk(b"LIST", b"INFOabc") + b"\0", chunk(b"fmt ", MONO), chunk(b"data", PCM)
    ),
    "a chunk behind": riff(chunk(b"fmt ", MONO), chunk(b"data", PCM), chunk(b"id3 ", b"abcd")),
    "a longer format": riff(chunk(b"fmt ", MONO + b"\0\0"), chunk(b"data", PCM)),
    "extensible": riff(
        chunk(
            b"fmt ",
            struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16_000, 32_000, 2, 16, 22, 16, 4)
            + struct.pack("<H", 1)
            + GUID_TAIL,
        ),
        chunk(b"data", PCM),
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_wav_is_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)  # nothing else is needed
    samples, rate_hz = read_audio(written(tmp_path / "a.wav", WHOLE[kind]))
    assert samples.dtype == np.int16
    assert rate_hz == 16_000
    np.testing.assert_array_equal(samples, TONE)


def test_stereo_is_read_and_nothing_is_nothing(tmp_path: Path) -> None:
    stereo = np.stack([TONE, -TONE], axis=1)
    write_wav(tmp_path / "a.wav", stereo, 44_100)
    samples, rate_hz = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, stereo)
    assert rate_hz == 44_100
    write_wav(tmp_path / "b.wav", TONE[:0], 8_000)
    assert read_audio(tmp_path / "b.wav")[0].shape == (0,)
    with pytest.raises(errors.UnusableMedia, match=r"expected mono at 16000 Hz, got \(0,\)"):
        read_clip(tmp_path / "b.wav")


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAVEX", "PCM_16"), ("WAVEX", "PCM_24"),
     ("RF64", "PCM_16"), ("RF64", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")],
)  # fmt: skip
def test_other_formats_are_read_with_soundfile(tmp_path: Path, format: str, subtype: str) -> None:
    soundfile.write(tmp_path / "a", TONE / 2**15, 16_000, format=format, subtype=subtype)
    samples, rate_hz = read_audio(tmp_path / "a")
    scale = 1 if samples.dtype == np.int16 else 2**15
    assert rate_hz == 16_000
    np.testing.assert_allclose(samples * scale, TONE, atol=800 if subtype == "VORBIS" else 1)


def test_24_bits_from_a_pipe_are_read_with_soundfile(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, 16_000, subtype="PCM_24")
    content = bytearray((tmp_path / "a.wav").read_bytes())
    at = content.index(b"data")
    content[4:8] = content[at + 4 : at + 8] = b"\xff" * 4
    samples, _ = read_audio(written(tmp_path / "a.wav", bytes(content)))
    np.testing.assert_allclose(samples * 2**15, TONE, atol=1)


BROKEN: dict[str, tuple[bytes, str]] = {
    "cut short": (WHOLE["plain"][:-100], "expected 2000 bytes of audio, got 1900; .*cut short"),
    "cut in the head": (riff(chunk(b"fmt ", MONO))[:30], "the chunk .* is to have 16"),
    "no data": (riff(chunk(b"fmt ", MONO)), "expected a chunk 'data', got none"),
    "no format": (riff(chunk(b"data", PCM)), "expected 'fmt ' before 'data'"),
    "a short format": (riff(chunk(b"fmt ", MONO[:8]), chunk(b"data", PCM)), "expected a format"),
    "no channels": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 16_000, 0, 0, 16)), chunk(b"data", PCM)),
        "a format of 0 channels .*contradicts itself",
    ),
    "no rate": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), chunk(b"data", PCM)),
        "a format of .* at 0 Hz contradicts itself",
    ),
    "an odd chunk without its pad byte": (
        riff(chunk(b"LIST", b"INFOabc"), chunk(b"fmt ", MONO), chunk(b"data", PCM)),
        r"the chunk b'mt .*' at byte 28 .*the chunk before has a wrong length",
    ),
    "24 bits, cut short": (
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 16_000, 48_000, 3, 24)),
             chunk(b"data", PCM, 9_000)),
        "expected 9000 bytes of audio, got 2000",
    ),
    "empty": (b"", "cannot read the audio"),
    "no audio at all": (b"hello", "cannot read the audio"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_wav_is_named(tmp_path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    with pytest.raises(errors.UnusableMedia, match=rf"a\.wav: {message}"):
        read_audio(written(tmp_path / "a.wav", content))


def test_a_wav_whose_header_names_a_format_that_cannot_be_sought_in_is_named(
    tmp_path: Path,
) -> None:
    """Its tag is 64, that of G.721, of which nothing follows."""
    content = bytearray(WHOLE["of GStreamer to a pipe"][:44])
    content[20] = 64
    with pytest.raises(errors.UnusableMedia, match=r"a\.wav: cannot read the audio"):
        read_audio(written(tmp_path / "a.wav", bytes(content)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4),
    st.integers(0, 2100),
)
def test_any_wav_is_read_or_named(
    tmp_path: Path, kind: str, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(WHOLE[kind])
    for place, value in changes:
        content[place % len(content)] = value
    path = written(tmp_path / "a.wav", bytes(content[:length]))
    try:
        samples, rate_hz = read_audio(path)
    except errors.DataError as error:
        message = str(error)
    else:
        message = str(path)
        assert samples.ndim in (1, 2)
        assert rate_hz > 0
        assert np.isfinite(samples).all()
    assert str(path) in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_a_corpus_is_named_when_it_is_read(tmp_path: Path, value: float) -> None:
    spoilt = speech(1)
    spoilt[700] = value

    def spoil(file: Path) -> Path:
        soundfile.write(file, spoilt, 16_000, format="WAV", subtype="FLOAT")
        return file

    message = rf": expected finite numbers, got {value} at \[700\]"
    ravdess = write_senses(tmp_path / "senses") / "ravdess"
    spoil(ravdess / "0-0.flac")
    with pytest.raises(errors.UnusableMedia, match=r"0-0\.flac" + message):
        read_speech("ravdess", ravdess, "train")
    recordings = write_recordings(tmp_path / "recordings")
    spoil(recordings / "ravdess" / "17-joy.flac")
    with pytest.raises(errors.UnusableMedia, match=r"17-joy\.flac" + message):
        read_material(recordings, SPLIT)
    (tmp_path / "media").mkdir()
    spoil(tmp_path / "media" / "a.wav")
    with pytest.raises(errors.UnusableMedia, match=r"a\.wav" + message):
        read_unlabelled(tmp_path / "media")
