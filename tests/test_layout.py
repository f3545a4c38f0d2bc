"""What the folder layout promises: one `dcet` namespace, one package per top-level folder."""

from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
FOLDERS = ("runtime", "export", "quantization", "training", "benchmarks", "targets")


def test_dcet_stays_a_namespace() -> None:
    """One stray dcet/__init__.py would hide the five sibling folders."""
    assert not list(REPO.glob("*/dcet/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_holds_its_own_package(folder: str) -> None:
    inside = [path.name for path in (REPO / folder / "dcet").iterdir() if path.is_dir()]
    assert inside == [folder]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_package_is_typed_and_every_part_of_it_is_a_package(folder: str) -> None:
    package = REPO / folder / "dcet" / folder
    assert (package / "py.typed").is_file()
    modules = {path.parent for path in package.rglob("*.py")}
    assert [path for path in modules if not (path / "__init__.py").is_file()] == []
