"""Find the files that a table means by paths as another person, program or machine wrote them."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import PureWindowsPath
from urllib.parse import unquote

from oncovec.data.layouts.scan import images_among, stem
from oncovec.data.tree import Folder

_NUMBER = re.compile(r"0*(\d+)(?:\.0+)?")


class Locator:
    """Convert the paths of a table to paths in a tree.

    A path that is not there is tried again

    - as another machine writes it: with backslashes, absolute (its longest end in the tree counts), as a URL,
      in another case of letters, or with ü and the like in another Unicode form;
    - as a spreadsheet leaves it: 7 or 7.0 for `007.png`;
    - without its suffix, or without the folders above it.

    `oncovec predict`, `oncovec audit` and the layout csv use it.

    Args:
        tree: tree of the images. It is listed when the first path is not there.
        every: whether a folder with several names through links is listed under each of them.
    """

    def __init__(self, tree: Folder, *, every: bool = False) -> None:
        self.tree = tree
        self.every = every
        self.respelled: dict[str, str] = {}
        """Cells that are no path of the tree, and the path that each was found to mean."""

    def __call__(self, cell: str) -> list[str]:
        """Find the paths in the tree that a cell may mean.

        Returns:
            One path; several if the cell is ambiguous; none if no file fits.
        """
        if not is_absolute(cell) and not self.tree.problem(cell):
            return [cell]
        found = [path for path in self._elsewhere(cell) if not self.tree.problem(path)]
        if len({(self.tree.root / path).resolve() for path in found}) == 1:
            self.respelled[cell] = found[0]
            return found[:1]
        return found

    def notes(self, table: str) -> list[str]:
        """Return a line about the cells that were found in another spelling; none if there are none."""
        first = [f"{cell} as {path}" for cell, path in self.respelled.items()][:1]
        count = len(self.respelled)
        return [f"{count} paths of {table} found by another spelling, such as {first[0]}"] if first else []

    def _elsewhere(self, cell: str) -> list[str]:
        parts = [part for part in _plain(cell).split("/") if part not in ("", ".") and part[-1] != ":"]
        for start in range(len(parts) if is_absolute(cell) else 1):
            end = "/".join(parts[start:])
            for name in dict.fromkeys((end, _plain(unquote(end)))):
                if found := self._by_path.get(name) or self._by_stem.get(name):
                    return found
                if found := self._by_letters.get(name.casefold()) or self._by_number.get(_number(name), []):
                    return found
        if is_absolute(cell) or not parts:
            return []
        end = f"/{'/'.join(parts)}".casefold()
        below = self._by_name.get(parts[-1].casefold(), [])
        return [path for path in below if any(f"/{name}".endswith(end) for name in _spellings(path))]

    @cached_property
    def _paths(self) -> list[str]:
        return self.tree.walk(every=self.every)[0]

    @cached_property
    def _images(self) -> list[tuple[str, str]]:
        return [(_plain(path), path) for path in images_among(self._paths, self.tree)]

    @cached_property
    def _by_path(self) -> dict[str, list[str]]:
        return _grouped((_plain(path), path) for path in self._paths)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped((stem(name), path) for name, path in self._images)

    @cached_property
    def _by_letters(self) -> dict[str, list[str]]:
        return _grouped((_plain(path).casefold(), path) for path in self._paths)

    @cached_property
    def _by_number(self) -> dict[str, list[str]]:
        numbered = ((_number(stem(name)), path) for name, path in self._images)
        return _grouped((number, path) for number, path in numbered if number)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _grouped(
            (name.rpartition("/")[2], path) for _, path in self._images for name in _spellings(path)
        )


def is_absolute(cell: str) -> bool:
    """Whether a path is absolute on any machine, or a URL of a file."""
    return cell.startswith(("/", "file:")) or bool(PureWindowsPath(cell).drive)


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path).replace("\\", "/")


def _spellings(path: str) -> tuple[str, str]:
    """Return the path of an image in lower case, with and without its suffix."""
    name = _plain(path).casefold()
    return name, stem(name)


def _number(path: str) -> str:
    """Return a path whose last part is a whole number, without leading zeros and decimals; else ''."""
    folder, mark, name = path.rpartition("/")
    number = _NUMBER.fullmatch(name)
    return f"{folder}{mark}{number[1]}" if number else ""


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in pairs:
        found[name].append(path)
    return dict(found)
