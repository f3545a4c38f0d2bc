"""Objects that hold a memory, an engine or a lock: a copy would silently share them."""

from typing import NoReturn, SupportsIndex

from dcet.runtime.errors import NotCopyable


class Uncopied:
    """A base of what can be neither copied nor pickled."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Raise NotCopyable: `copy.copy`, `copy.deepcopy` and pickle all come here."""
        name = type(self).__name__
        raise NotCopyable(
            f"a {name} can be neither copied nor pickled: a copy would share what it holds; "
            f"make another {name}, in the process that is to use it"
        )
