"""Versions of formats, MAJOR.MINOR: a reader reads all minor versions of its major one."""

from typing import Any

from dcet.runtime.errors import DcetError


def check_schema_version(
    value: Any,
    newest: str,
    where: object,
    cure: str,
    *,
    damaged: type[DcetError],
    too_new: type[DcetError],
) -> None:
    """Check the `schema_version` of a manifest; raise `damaged`, or `too_new`.

    where: the file, for the message; cure: what to do about one that is damaged
    """
    version = value.get("schema_version") if isinstance(value, dict) else None
    major, _, minor = str(version).partition(".")
    if not (isinstance(version, str) and major.isdecimal() and minor.isdecimal()):
        raise damaged(
            f"{where}: schema_version: expected MAJOR.MINOR, such as {newest!r}, "
            f"got {version!r}; {cure}"
        )
    if int(major) > int(newest.partition(".")[0]):
        raise too_new(
            f"{where}: schema_version is {version}, this version of dcet reads up to "
            f"{newest}; run: pip install --upgrade dcet"
        )
