"""Which files of the library a stage imports, found by reading the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path("src")


def _module_file(name: str, root: Path) -> Path | None:
    path = root / SRC / Path(*name.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but what never runs (below `if TYPE_CHECKING`) or only for names that no stage uses."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            continue
        yield node
        yield from _run(node)


def _imported(file: Path, root: Path) -> set[Path]:
    names = set()
    for node in _run(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {name.rsplit(".", i)[0] for name in names for i in range(name.count(".") + 1)}
    found = {_module_file(name, root) for name in names | parents if name.split(".")[0] == "oncovec"}
    return {path for path in found if path}


def dependencies(stage: str, root: Path = Path()) -> set[str]:
    """The stage's own script and every file of the library it imports, however indirectly.

    A package of which anything is imported counts as one folder.
    """
    seen: set[Path] = set()
    todo = [root / "stages" / f"{stage}.py", root / "stages" / "__init__.py"]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += _imported(file, root)
    names = set()
    for file in seen:
        relative = file.relative_to(root)
        folder = relative.parent
        names.add((folder if folder.parent == SRC / "oncovec" else relative).as_posix())
    return names
