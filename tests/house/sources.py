"""The files that the house rules speak of, whether the tree is the project or a test's small broken sample."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# Where programs live, the simulated peers and the benchmarks included; tests are read with a lighter hand.
PROGRAMS = ("gatewayd", "hal", "tests/simulator", "tests/bench")

# What tools leave behind; none of it is in the repository.
NOT_OURS = {
    ".git",
    ".venv",
    "build",
    "state",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}


def files(root: Path, pattern: str = "*") -> Iterator[Path]:
    """Every file below `root` whose name matches, in a stable order."""
    for path in sorted(root.rglob(pattern)):
        inner = path.relative_to(root).parts
        if (
            path.is_file()
            and not NOT_OURS.intersection(inner)
            and not any(part.endswith(".egg-info") for part in inner)
        ):
            yield path


def programs(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module that is no test."""
    return ((name, path) for name, path in modules(root, *PROGRAMS) if not path.name.startswith("test_"))


def modules(root: Path, *packages: str) -> Iterator[tuple[str, Path]]:
    """Every Python module of the packages, as its dotted name and its file."""
    for package in packages:
        for path in files(root / package, "*.py"):
            yield dotted(path.relative_to(root)), path


def dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache  # every rule walks the same trees
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def expect_none(wrong: list[str]) -> None:
    """Fails with every line of `wrong`, in full: a rule that is broken says where."""
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def plant(root: Path, texts: dict[str, str]) -> Path:
    """Writes a small sample tree, path to text: the broken twin that shows that a rule's test can fail."""
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
