"""A DVCEA data set as a dataset of Hugging Face `datasets`, which read the mapped files."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from dcet.data.dvcea import Dvcea, DvceaUtterance
from dcet.runtime.extras import need

KEYS = tuple(field.name for field in fields(DvceaUtterance))


def as_datasets(dvcea: Dvcea) -> Any:
    """Return a `datasets.Dataset` with a row for each utterance, and its fields as columns.

    Rows are read from the set when they are asked for; a modality that is missing is None. It can
    be sliced, shuffled and filtered as any other. Needs the package `datasets`.
    """
    datasets = need("datasets", extra="dvcea")
    places = datasets.Dataset.from_dict({"place": list(range(len(dvcea)))})

    def read(batch: Mapping[str, list[int]]) -> dict[str, list[Any]]:
        utterances = [dvcea[place] for place in batch["place"]]
        return {key: [getattr(utterance, key) for utterance in utterances] for key in KEYS}

    return places.with_transform(read)
