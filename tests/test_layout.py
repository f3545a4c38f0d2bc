"""The promises of the folder layout: one `dcet` namespace, packages, no circles between modules."""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
FOLDERS = {
    "runtime": {"runtime", "live", "data", "synthetic", "demo"},
    "targets": {"targets", "finalize"},
    "quantization": {"quantization"},
    "training": {"training", "dvcea"},
    "export": {"export"},
    "benchmarks": {"benchmarks"},
}
LONGEST = 60  # lines of a function
PACKAGES = [REPO / folder / "dcet" / name for folder in FOLDERS for name in sorted(FOLDERS[folder])]


def test_dcet_stays_a_namespace() -> None:
    """One stray dcet/__init__.py would hide the five sibling folders."""
    assert not list(REPO.glob("*/dcet/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_holds_its_own_packages(folder: str) -> None:
    inside = {path.name for path in (REPO / folder / "dcet").iterdir() if any(path.rglob("*.py"))}
    assert inside == FOLDERS[folder]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_each_package_is_typed_and_every_part_of_it_is_a_package(package: Path) -> None:
    assert (package / "py.typed").is_file()
    modules = {path.parent for path in package.rglob("*.py")}
    assert [path for path in modules if not (path / "__init__.py").is_file()] == []


def test_no_circles_between_modules() -> None:
    """Imports inside functions and for types alone count, too."""
    modules = {_name(path): path for package in PACKAGES for path in package.rglob("*.py")}
    imports = {
        name: set(_imports(path, modules.keys())) & modules.keys() for name, path in modules.items()
    }
    while True:
        imported = set().union(*imports.values())
        ends = [name for name, others in imports.items() if not others or name not in imported]
        if not ends:
            break
        imports = {
            name: others.difference(ends) for name, others in imports.items() if name not in ends
        }
    assert imports == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path.relative_to(REPO)}: {node.name}"
        for package in PACKAGES
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST
    ]
    assert long == []


def test_text_is_utf8_whatever_the_locale_says() -> None:
    """Where the linter cannot tell that it is a path which is read or written."""
    folders = [*FOLDERS, "tests", "docs", "examples"]
    by_locale = [
        f"{path.relative_to(REPO)}:{node.lineno}"
        for folder in folders
        for path in (REPO / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read_text", "write_text")
        and ast.unparse(node.func.value)
        not in ("formatter", "metadata.distribution('dcet')")  # click's, and always UTF-8
        and not any(keyword.arg == "encoding" for keyword in node.keywords)
    ]
    assert by_locale == []


def _name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, modules: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in modules else node.module
