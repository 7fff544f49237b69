"""Which code a stage runs, as one fingerprint: DVC does not see what a script imports.

A dependency for every imported file would make dvc.lock so long that DVC spends a second a stage on
reading and writing it. The stage `check` writes one fingerprint a stage instead.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout that this library belongs to."""


def stages(root: Path = ROOT) -> list[str]:
    """Names of all stages but check itself, sorted."""
    return sorted(path.stem for path in (root / "stages").glob("[a-z]*.py") if path.stem != "check")


def fingerprint(stage: str, root: Path = ROOT) -> str:
    """sha256 over the names and contents of the files that a stage runs."""
    digest = hashlib.sha256()
    for file in files(stage, root):
        digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def files(stage: str, root: Path = ROOT) -> list[Path]:
    """The stage's script and every file of the library that it imports, however indirectly, sorted."""
    seen: set[Path] = set()
    todo = [root / "stages" / f"{stage}.py", root / "stages" / "__init__.py"]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _imported(file, root)
    return sorted(seen)


def _imported(file: Path, root: Path) -> set[Path]:
    names = _names(file.read_text(encoding="utf-8"))
    found = {_file_of(name, root) for name in names if name.split(".")[0] == "oncovec"}
    return {path for path in found if path}


@cache
def _names(text: str) -> set[str]:
    """Every module, and package around it, that a file's code may import."""
    names: set[str] = set()
    for node in _run(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names | {name.rsplit(".", i)[0] for name in names for i in range(name.count(".") + 1)}


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but what never runs (below `if TYPE_CHECKING`) or only for names that no stage uses."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            continue
        yield node
        yield from _run(node)


def _file_of(name: str, root: Path) -> Path | None:
    path = root / "src" / Path(*name.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None
