"""The common traits of all of DCET's own errors."""

import pytest

from dcet.runtime import errors
from dcet.runtime.printable import printable

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.DcetError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_messages_hold_no_control_characters(kind: type[errors.DcetError]) -> None:
    """Whatever builtin it also inherits; line breaks stay."""
    error = kind("é \x1b[2Jgone\x9b31m\r\u202eb\ud800\nnext")
    assert str(error) == "é \\x1b[2Jgone\\x9b31m\\r\\u202eb\\ud800\nnext"
    assert error.args == (str(error),)


def test_what_is_printable_stays_as_it_is() -> None:
    for text in ("", "plain", "Zoë’s 20×20 😀 – ≥ 我"):
        assert printable(text) is text
