"""Every error that DCET raises on purpose. Each also inherits the builtin a caller might expect.

DcetError
├── MissingExtra            an optional package is needed                       (ImportError)
├── ConfigError             a setting cannot be used                            (ValueError)
├── NotCopyable             an object can be neither copied nor pickled         (TypeError)
├── BundleError             a bundle cannot be used                             (ValueError)
│   ├── BundleNotFound          nothing is there                                (FileNotFoundError)
│   ├── BundleTruncated         an archive or a file is cut short
│   ├── BundleCompressed        a member of the zip is compressed
│   ├── BundlePathOutside       a name or a link points outside
│   ├── BundleManifestError     manifest.json cannot be read, or contradicts itself
│   ├── BundleSchemaTooNew      written for a later major version of the format
│   ├── BundleMissingFile       a listed file is not there
│   ├── BundleUnlistedFile      a file is there that nothing lists
│   ├── BundleHashMismatch      a file is not the one that was written
│   └── BundleShapeMismatch     a graph is not what the manifest says
├── EngineError             an engine cannot load or run a graph                (RuntimeError)
├── InputError              a turn cannot be used; the memory stays as it was   (ValueError)
│   ├── EmptyTurn               nothing in it can be used
│   ├── TextTooLong             more text than one turn may have
│   ├── NotFinite               NaN or infinity
│   ├── WrongDtype              another type than expected
│   ├── WrongShape              another shape than expected
│   ├── WrongSampleRate         audio at another rate than expected
│   └── UnknownSpeaker          no speaker of this name is remembered
├── SavedMemoryError        a saved memory cannot be used                       (ValueError)
│   ├── SavedMemoryNotFound     there is no file that can be read               (FileNotFoundError)
│   ├── SavedMemoryDamaged      cut short, changed, or no such file
│   ├── SavedMemoryTooNew       written for a later version of the format
│   ├── WrongBundle             of a conversation on another bundle
│   └── WrongPassword           another password, none, or one that is not needed
├── DataError               a data set cannot be used                           (ValueError)
│   ├── DataNotFound            there is no file that can be read               (FileNotFoundError)
│   ├── MalformedTable
│   ├── MissingColumn
│   ├── UnknownLabel
│   ├── BadNumber
│   ├── EmptyUtterance
│   ├── UndecodableText
│   ├── UnusableMedia
│   ├── PathOutside
│   ├── DuplicateTurn
│   └── OneClassOnly
└── WriteError              a file could not be written; nothing was left behind (OSError)
"""

from typing import ClassVar

from dcet.runtime.printable import printable


class DcetError(Exception):
    """Base of every error DCET raises on purpose.

    Messages quote what bundles and tables say, so control characters are escaped in them.
    """

    exit_code: ClassVar[int] = 2  # of a command that it ends; 1 where a measurement is not enough

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class MissingExtra(DcetError, ImportError):
    """An optional package is needed for what was asked."""


class ConfigError(DcetError, ValueError):
    """A setting cannot be used."""


class NotCopyable(DcetError, TypeError):
    """An object can be neither copied nor pickled."""


class BundleError(DcetError, ValueError):
    """A bundle cannot be used."""


class BundleNotFound(BundleError, FileNotFoundError):
    """There is nothing at this path."""


class BundleTruncated(BundleError):
    """An archive or a file in it is shorter than it was written."""


class BundleCompressed(BundleError):
    """A member of the zip is compressed; hosts map bundles into memory, so members are stored."""


class BundlePathOutside(BundleError):
    """A name or a symbolic link points outside the bundle."""


class BundleManifestError(BundleError):
    """manifest.json is missing, cannot be read, or contradicts itself."""


class BundleSchemaTooNew(BundleError):
    """The bundle was written for a later major version of the format."""


class BundleMissingFile(BundleError):
    """The manifest lists a file that is not there."""


class BundleUnlistedFile(BundleError):
    """There is a file that the manifest does not list."""


class BundleHashMismatch(BundleError):
    """A file is not the one that was written."""


class BundleShapeMismatch(BundleError):
    """A graph's inputs or outputs are not those the manifest states."""


class EngineError(DcetError, RuntimeError):
    """An engine cannot load or run a graph."""


class InputError(DcetError, ValueError):
    """A turn cannot be used. The conversation's memory is as it was before."""


class EmptyTurn(InputError):
    """Nothing in the turn can be used."""


class TextTooLong(InputError):
    """More text than one turn may have."""


class NotFinite(InputError):
    """A value is NaN or infinite."""


class WrongDtype(InputError):
    """A value has another type than expected."""


class WrongShape(InputError):
    """An array has another shape than expected."""


class WrongSampleRate(InputError):
    """Audio has another sample rate than the model was trained for."""


class UnknownSpeaker(InputError):
    """The conversation remembers no speaker of this name."""


class SavedMemoryError(DcetError, ValueError):
    """A saved memory cannot be used. The conversation's memory is as it was before."""


class SavedMemoryNotFound(SavedMemoryError, FileNotFoundError):
    """There is no file at this path that can be read."""


class SavedMemoryDamaged(SavedMemoryError):
    """A file was cut short or changed after it was written, or holds something else."""


class SavedMemoryTooNew(SavedMemoryError):
    """The file was written for a later version of the format."""


class WrongBundle(SavedMemoryError):
    """The memory is of a conversation on another bundle."""


class WrongPassword(SavedMemoryError):
    """Another password than it was saved with, none, or one for a file that is not encrypted."""


class DataError(DcetError, ValueError):
    """A data set cannot be used."""


class DataNotFound(DataError, FileNotFoundError):
    """There is no file at this path that can be read."""


class MalformedTable(DataError):
    """A file is not the CSV, or the lines of JSON, that it should be."""


class MissingColumn(DataError):
    """A table lacks a column."""


class UnknownLabel(DataError):
    """A label is none of those the model knows."""


class BadNumber(DataError):
    """A cell that must hold a number holds something else."""


class EmptyUtterance(DataError):
    """An utterance has no text, or nothing at all."""


class UndecodableText(DataError):
    """Bytes are not text in the expected encoding."""


class UnusableMedia(DataError):
    """An audio file or a picture cannot be used."""


class PathOutside(DataError):
    """A name points outside the data set."""


class DuplicateTurn(DataError):
    """A turn occurs twice."""


class OneClassOnly(DataError):
    """All turns have one label, so that nothing can be measured on them."""


class WriteError(DcetError, OSError):
    """A file could not be written. Nothing was left behind."""
