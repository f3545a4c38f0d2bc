"""The size of an encoded picture, read from its header: a small file may hold a huge picture."""

import struct

# Start of frame, which holds the size: C0 to CF but for tables (C4, CC) and an extension (C8).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_SEGMENTS = 10_000  # 64 KB each, before the first frame


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a PNG, JPEG, BMP or WebP; None of anything else, or half of one."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_size(data)
        else:
            return None
    except struct.error:  # it ends before its size
        return None
    return abs(height), abs(width)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Read a size after ITU-T T.81, B.1 and B.2: segments of marker and length, up to a frame."""
    place = 2
    for _ in range(_MOST_SEGMENTS):
        lead, marker, length = struct.unpack_from(">BBH", data, place)
        if lead != 0xFF:
            return None
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, place + 5)
            return height, width
        if marker == 0xFF:  # padding
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            place += 2
        else:
            place += 2 + length
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read a size after RFC 9649, 2.5 to 2.7: a key frame of VP8, a lossless image, or a canvas."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return (high_height << 16 | low_height) + 1, (high_width << 16 | low_width) + 1
    return None
