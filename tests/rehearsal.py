"""Stages run in process in a small checkout, noting what each reads and writes beside what it declares."""

import ast
import importlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from oncovec.core import params as settings

ROWS = ("downloads", "datasets", "external", "tasks", "systems")


@dataclass(frozen=True)
class Declared:
    """One stage as DVC resolves it."""

    params: frozenset[str]
    deps: frozenset[str]
    outs: frozenset[str]


@dataclass(frozen=True)
class Run:
    """What one run of a stage read and wrote: keys of params, and files relative to the checkout."""

    address: str
    declared: Declared
    read: frozenset[str]
    opened: frozenset[str]
    written: frozenset[str]


def resolve(folder):
    """Every stage of `folder/dvc.yaml` by its address, templates filled in by DVC itself."""
    from dvc.repo import Repo

    with Repo.init(str(folder), no_scm=True, force=True) as repo:
        found = {}
        for stage in repo.index.stages:
            plain = {dep.def_path for dep in stage.deps if not getattr(dep, "params", None)}
            named = {name for dep in stage.deps for name in getattr(dep, "params", None) or ()}
            outs = {out.def_path for out in stage.outs}
            found[stage.name] = Declared(frozenset(named), frozenset(plain), frozenset(outs))
        return found


def code_of(script, source):
    """The script of a stage and the rooms of the library that it imports, however indirectly.

    For a stage that imports every room it is the library as a whole.

    Imports that never run (below `if TYPE_CHECKING`) and those of `__getattr__` are passed over.
    """
    seen, todo = set(), [script]
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [path for name in _imported(file) if (path := _file_of(name, source))]
    rooms = {f"src/oncovec/{path.relative_to(source / 'oncovec').parts[0]}" for path in seen - {script}}
    rooms = {room for room in rooms if not room.endswith(".py")}
    every = {f"src/oncovec/{path.parent.name}" for path in (source / "oncovec").glob("*/__init__.py")}
    return {f"stages/{script.name}", *({"src/oncovec"} if rooms == every else rooms)}


def _imported(file):
    for node in _run(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _run(tree):
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            continue
        yield node
        yield from _run(node)


def _file_of(name, source):
    path = source.joinpath(*name.split("."))
    if name.partition(".")[0] != "oncovec":
        return None
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def below(path, folder):
    """Whether a path is that folder or file, or lies in it; or a key in a section, parted by dots."""
    return path == folder or path.startswith((f"{folder}/", f"{folder}."))


class Recorder:
    """Params that note the dotted key of every value read; a row is one, and brings its recipe as another."""

    def __init__(self, section, read, prefix=""):
        self._section, self._read, self._prefix = section, read, prefix

    def __getattr__(self, name):
        value, key = getattr(self._section, name), self._prefix + name
        if isinstance(value, settings.Section):
            return Recorder(value, self._read, key + ".")
        if key in ROWS:
            return RecordedRows(value, self._read, key)
        self._read.add(key)
        return value

    def __reduce__(self):
        """Workers are sent the section itself, all of which may be read there."""
        for name in type(self._section).model_fields:
            getattr(self, name)
        return _as_it_is, (self._section,)


def _as_it_is(section):
    return section


class RecordedRows(Mapping):
    """Rows that note the name of every one looked at."""

    def __init__(self, content, read, section):
        self._content, self._read, self._section = content, read, section

    def __getitem__(self, name):
        row = self._content[name]
        self._read.add(f"{self._section}.{name}")
        if self._section == "systems":
            self._read.add(row.base)
        return row

    def __iter__(self):
        return iter([name for name in self._content if self[name]])

    def __len__(self):
        return len(self._content)


_opened = None
"""Files opened for reading so far, while a stage runs here."""


def _hook(event, arguments):
    if event != "open" or _opened is None or not isinstance(arguments[0], str | bytes):
        return
    if not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        _opened.add(os.fsdecode(arguments[0]))


sys.addaudithook(_hook)


class Project:
    """A checkout in `root`, which is the current folder; stages run here, one after another.

    Reading is noted for files in `root` and in `own`, the folder of the user's images.
    """

    def __init__(self, root, own):
        self.root, self.own = root, own
        self.runs = []

    def use(self, params):
        """Take this params.yaml and let DVC resolve the stages with it."""
        shutil.copy(params, self.root / "params.yaml")
        self.pipeline = resolve(self.root)
        self.params = settings.load(self.root / "params.yaml")

    def run(self, name, *row):
        """Run one stage and note what it did."""
        global _opened
        address = "@".join([name, *row])
        main = importlib.import_module(f"stages.{name}").main
        before, read, _opened = self._content(), set(), set()
        try:
            main(*row, Recorder(self.params, read))
        finally:
            opened, _opened = _opened, None
        after = self._content()
        written = {path for path, facts in after.items() if before.get(path) != facts}
        here = {os.path.relpath(path) for path in opened} & set(after) - written
        elsewhere = {path for path in opened if below(path, self.own)}
        declared = self.pipeline[address]
        self.runs.append(
            Run(address, declared, frozenset(read), frozenset(here | elsewhere), frozenset(written))
        )

    def _content(self):
        """What tells a file that was written again, for every file but DVC's own."""
        facts = {}
        for path in self.root.rglob("*"):
            if path.is_file() and not {".dvc", ".dvcignore"} & set(path.parts):
                status = path.stat()
                facts[path.relative_to(self.root).as_posix()] = (status.st_mtime_ns, status.st_ino)
        return facts
