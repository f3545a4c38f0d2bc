"""WAV of 16-bit PCM, read without any package, also where it was written to a pipe.

A program that writes to a pipe cannot go back to fill in the lengths, so it leaves 0 there, or the
largest number that it has: 0xFFFFFFFF (FFmpeg), 0x80000000 (arecord), 0x7FFFF000 and more (SoX).
The audio then reaches to the end of the file, down to the last whole frame.

The format is that of Multimedia Programming Interface and Data Specifications 1.0 (IBM & Microsoft,
1991), with WAVE_FORMAT_EXTENSIBLE (Microsoft, 2001).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcet.runtime.errors import UnusableMedia

UNKNOWN_BYTES = 0x7FFFF000  # a length from here on stands for one that the writer did not know
PCM, EXTENSIBLE = 0x0001, 0xFFFE
# A format tag in the first two bytes of a GUID, and these behind it.
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


@dataclass(frozen=True, slots=True)
class _Chunk:
    id: bytes
    start: int  # of its content
    size_bytes: int  # as it stands in the file


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    sample_rate_hz: int
    bits: int


def read_wav(path: Path) -> tuple[NDArray[np.int16], int] | None:
    """Return int16 PCM, (n,) or (n, channels), and its rate in Hz; None for any other format.

    Raises OSError, and UnusableMedia for a WAV that is cut short or whose parts contradict it.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        file_bytes = head + file.read()
    format: _Format | None = None
    for chunk in _chunks(file_bytes, path):
        if chunk.id == b"fmt ":
            format = _read_format(file_bytes, chunk, path)
        elif chunk.id == b"data":
            if format is None:
                raise UnusableMedia(f"{path}: expected 'fmt ' before 'data'; write the file again")
            return _read_samples(file_bytes, chunk, format, path)
    raise UnusableMedia(f"{path}: expected a chunk 'data', got none; the file is cut short")


def _chunks(file_bytes: bytes, path: Path) -> Iterator[_Chunk]:
    """Yield the chunks; all but 'data', which may be streamed, lie inside the file."""
    at = 12
    while at + 8 <= len(file_bytes):
        id, size_bytes = struct.unpack_from("<4sI", file_bytes, at)
        if id != b"data" and at + 8 + size_bytes > len(file_bytes):
            raise UnusableMedia(
                f"{path}: the chunk {id!r} at byte {at} is to have {size_bytes} bytes, but the "
                f"file has {len(file_bytes) - at - 8} more; it is cut short, or the chunk before "
                "has a wrong length: write the file again"
            )
        yield _Chunk(id, at + 8, size_bytes)
        at += 8 + size_bytes + size_bytes % 2  # chunks begin at even places


def _read_format(file_bytes: bytes, chunk: _Chunk, path: Path) -> _Format:
    content = file_bytes[chunk.start : chunk.start + chunk.size_bytes]
    if len(content) < 16:
        raise UnusableMedia(
            f"{path}: expected a format of 16 bytes or more, got {len(content)}; write it again"
        )
    tag, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if tag == EXTENSIBLE and content[26:40] == GUID_TAIL:
        (tag,) = struct.unpack_from("<H", content, 24)
    format = _Format(tag, channels, rate_hz, bits)
    if channels == 0 or rate_hz == 0 or (_is_plain(format) and frame_bytes != 2 * channels):
        raise UnusableMedia(
            f"{path}: a format of {channels} channels in frames of {frame_bytes} bytes at "
            f"{rate_hz} Hz contradicts itself; write the file again"
        )
    return format


def _is_plain(format: _Format) -> bool:
    return format.tag == PCM and format.bits == 16


def _read_samples(
    file_bytes: bytes, chunk: _Chunk, format: _Format, path: Path
) -> tuple[NDArray[np.int16], int] | None:
    (riff_bytes,) = struct.unpack_from("<I", file_bytes, 4)
    is_streamed = riff_bytes == 0 or riff_bytes >= UNKNOWN_BYTES
    found = len(file_bytes) - chunk.start
    size_bytes = chunk.size_bytes
    if size_bytes >= UNKNOWN_BYTES or (is_streamed and size_bytes == 0):
        size_bytes = found
    if size_bytes > found:
        raise UnusableMedia(
            f"{path}: expected {size_bytes} bytes of audio, got {found}; "
            "the file is cut short, so copy it again"
        )
    if not _is_plain(format):
        return None
    frames = size_bytes // (2 * format.channels)
    samples = np.frombuffer(file_bytes, "<i2", frames * format.channels, chunk.start)
    pcm = samples.astype(np.int16)
    return pcm if format.channels == 1 else pcm.reshape(frames, -1), format.sample_rate_hz
