"""Reads a bundle's bytes: from a directory, or from a zip with stored members."""

import errno
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Protocol

from dcet.runtime.errors import (
    BundleCompressed,
    BundleHashMismatch,
    BundleManifestError,
    BundleMissingFile,
    BundleNotFound,
    BundlePathOutside,
    BundleTruncated,
)

CACHE = "cache"  # made on the device, never part of a bundle
_LOCAL_HEADER_END = struct.Struct("<HH")  # lengths of a member's name and extra field


class Container(Protocol):
    """Named files of known size."""

    def __contains__(self, name: str) -> bool:
        """Tell whether a file of this name is there."""

    def files(self, listed: Collection[str]) -> Iterator[tuple[str, int]]:
        """Go through all files: name, with `/` between folders, and size in bytes.

        A folder that holds none of the files `listed` is not gone through; the first thing in it
        stands for all.
        """

    def read(self, name: str) -> bytes:
        """Return the bytes of one of them."""


def open_container(path: Path) -> Container:
    """Open a directory or a zip. Raises a BundleError for what is neither, or may not be in one."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: what no path can hold, such as NUL
        found = "there is nothing"
        if isinstance(error, ValueError) or error.errno not in (errno.ENOENT, errno.ENOTDIR):
            found = f"it cannot be read ({getattr(error, 'strerror', error)})"
        raise _not_found(path, found) from error
    if stat.S_ISDIR(mode):
        return Folder(path)
    if stat.S_ISREG(mode):
        return Archive(path)
    raise _not_found(path, "it is a device, a FIFO or a socket")


def _not_found(path: Path, found: str) -> BundleNotFound:
    return BundleNotFound(
        f"{path}: expected a bundle, a file or a directory, but {found}; "
        "check the path, or make one with: dcet-export --target cpu"
    )


def check_name(name: str, where: str) -> None:
    """Raise BundlePathOutside unless `name` is relative and stays inside."""
    parts = name.split("/")
    if "\\" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        raise BundlePathOutside(
            f"{where}: expected a relative path inside the bundle, such as graphs/step.fp32.onnx, "
            f"got {name!r}; do not use this bundle unless you know who made it"
        )


class Folder:
    """A directory. What dcet-finalize made in its `cache` is no part of the bundle."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, name: str) -> bool:
        return os.path.lexists(self._path / name)

    def files(self, listed: Collection[str]) -> Iterator[tuple[str, int]]:
        folders = {parent.as_posix() for name in listed for parent in PurePosixPath(name).parents}
        try:
            yield from self._files("", folders)
        except OSError as error:
            raise BundleMissingFile(
                f"{error.filename}: cannot be read ({error.strerror}); copy the bundle again"
            ) from error

    def read(self, name: str) -> bytes:
        path = self._path / name
        try:
            _expect_regular(path, path.lstat())
            return path.read_bytes()
        except OSError as error:
            raise BundleMissingFile(
                f"{self._path}: {name} cannot be read ({error.strerror}); copy the bundle again"
            ) from error

    def _files(self, folder: str, folders: Collection[str]) -> Iterator[tuple[str, int]]:
        with os.scandir(self._path / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    _expect_regular(Path(entry), status)
                    yield name, status.st_size
                elif name == CACHE:
                    _check_cache(Path(entry))
                elif name in folders:
                    yield from self._files(name, folders)
                else:
                    with os.scandir(entry) as inside:
                        yield from ((f"{name}/{first.name}", 0) for first in islice(inside, 1))


def _check_cache(cache: Path) -> None:
    """Refuse links, as everywhere."""
    for folder, folders, files in os.walk(cache):
        for name in folders + files:
            entry = Path(folder, name)
            with suppress(FileNotFoundError):  # dcet-finalize is at work
                status = entry.lstat()
                if not stat.S_ISDIR(status.st_mode):
                    _expect_regular(entry, status)


def _expect_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise BundlePathOutside(
            f"{path}: expected a regular file, got a link or a special file, which may lead "
            "outside the bundle; put a copy of the file in its place"
        )


class Archive:
    """A zip whose members are stored, not compressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[str, zipfile.ZipInfo] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        # zipfile lets more than BadZipFile out when the list of members is damaged.
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError) as error:
            raise _not_an_archive(path, error) from error
        except OSError as error:
            raise BundleNotFound(
                f"{path}: expected a bundle that can be read, got: {error.strerror}"
            ) from error
        if min((member.header_offset for member in members), default=0) > 0:
            # What was found is an archive inside a bundle (an .npz) that lost its own end.
            raise _not_an_archive(path, "its first member is not at the beginning")
        for member in members:
            if not member.is_dir():
                self._check(member)
                self._members[member.filename] = member

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def files(self, listed: Collection[str]) -> Iterator[tuple[str, int]]:
        yield from ((name, member.file_size) for name, member in self._members.items())

    def _check(self, member: zipfile.ZipInfo) -> None:
        where = f"{self._path}: {member.filename!r}"
        check_name(member.filename, str(self._path))
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise BundleCompressed(
                f"{where}: expected a stored member (zip method 0), got a compressed or encrypted "
                "one; zip the bundle again without compression: zip -0 -r -D"
            )
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise BundlePathOutside(
                f"{where}: expected a regular file, got a link or a special file, which may lead "
                "outside the bundle; put a copy of the file in its place"
            )
        if member.filename in self._members:
            raise BundleManifestError(f"{where}: expected once, got twice; export the bundle again")
        size_bytes = self._path.stat().st_size
        if member.header_offset + member.file_size > size_bytes:
            raise BundleTruncated(
                f"{where}: expected {member.file_size} bytes from byte {member.header_offset}, "
                f"got an archive of {size_bytes} bytes; copy the bundle again"
            )

    def read(self, name: str) -> bytes:
        member = self._members[name]
        try:
            with self._path.open("rb") as file:
                file.seek(member.header_offset)
                name_bytes, extra_bytes = _LOCAL_HEADER_END.unpack(file.read(30)[26:])
                file.seek(name_bytes + extra_bytes, os.SEEK_CUR)
                data = file.read(member.file_size)  # stored: the bytes lie there as they are
        except (OSError, ValueError, struct.error) as error:
            raise BundleTruncated(
                f"{self._path}: {name} cannot be read ({error}); copy the bundle again"
            ) from error
        if zlib.crc32(data) != member.CRC:  # the manifest, too, which has no hash
            raise BundleHashMismatch(f"{self._path}: {name} is damaged; copy the bundle again")
        return data


def _not_an_archive(path: Path, reason: object) -> BundleTruncated | BundleManifestError:
    with path.open("rb") as file:
        starts_like_a_zip = file.read(4) == b"PK\3\4"
    if starts_like_a_zip:
        return BundleTruncated(
            f"{path}: expected a whole zip archive, got {path.stat().st_size} bytes of which the "
            f"end is missing or damaged ({reason}); copy the bundle again"
        )
    return BundleManifestError(
        f"{path}: expected a bundle, a directory or a zip archive, got neither ({reason}); "
        "make one with: dcet-export --target cpu"
    )
