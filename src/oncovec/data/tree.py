"""A dataset's raw files: the plain files below a folder, by path."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from oncovec.core.errors import OncovecError


@dataclass(frozen=True)
class Folder:
    """A tree on disk."""

    root: Path
    _inside: dict[PurePosixPath, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.root)

    def __reduce__(self) -> tuple[type["Folder"], tuple[Path]]:
        # What was resolved stays behind: workers get the folder anew with every chunk.
        return Folder, (self.root,)

    def paths(self) -> list[str]:
        """List all plain files, sorted; those that are hidden or in a hidden folder are passed over.

        Links to folders are followed. A folder that is reached twice is read once, by the path with fewer
        parts, so loops end: a dataset has an image once. No file is opened, and none is asked for its status.

        Raises:
            OncovecError: when a folder cannot be listed.
        """
        return self._walk(every=False)

    def every_path(self) -> list[str]:
        """List all plain files by every path that leads to them, sorted.

        As `paths`, but a folder that links name as well is listed by each of its names, for it may be on
        two splits by them; only one that is within itself is not.

        Raises:
            OncovecError: when a folder cannot be listed.
        """
        return self._walk(every=True)

    def _walk(self, *, every: bool) -> list[str]:
        files: list[str] = []
        seen: set[tuple[int, int]] = set()
        folders: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        for folder, above in folders:  # It grows meanwhile.
            entries = _entries(self.root / folder)
            status = (self.root / folder).stat()
            here = (status.st_dev, status.st_ino)
            if here in (above if every else seen):
                continue
            seen.add(here)
            for entry in entries:
                if entry.is_dir():
                    folders.append((f"{folder}{entry.name}/", above | {here}))
                else:
                    files.append(folder + entry.name)
        return sorted(files)

    def folders(self) -> list[str]:
        """Names of the folders at the top that are not hidden, with files or without, sorted."""
        return sorted(entry.name for entry in _entries(self.root) if entry.is_dir())

    def read(self, path: str) -> bytes:
        """Return the content of one file."""
        return (self.root / path).read_bytes()

    def where(self, path: str) -> str:
        """How a message names one file."""
        return str(self.root / path)

    def problem(self, path: str) -> str:
        """Why a path from a user's table cannot be used: missing, no file, or outside by way of a link."""
        place = PurePosixPath(path)
        try:
            status = os.lstat(self.root / place)
            # Only folders and links need resolving; a plain file lies where its folder lies.
            inside = self._is_inside(place if stat.S_ISLNK(status.st_mode) else place.parent)
            regular = stat.S_ISREG(status.st_mode) or (self.root / place).is_file()
        except (OSError, RuntimeError, ValueError):  # RuntimeError is a link that ends in itself.
            return f"is not there; paths are relative to {self}"
        if not inside:
            return f"is a link that points outside of {self}"
        return "" if regular else "is not a file"

    def _is_inside(self, place: PurePosixPath) -> bool:
        """Whether a folder or a link lies below the root; remembered, for many files lie in few folders."""
        if place not in self._inside:
            resolved = (self.root / place).resolve(strict=True)
            self._inside[place] = resolved.is_relative_to(self.root.resolve())
        return self._inside[place]


def alone(path: Path) -> tuple[Folder, str]:
    """One file by itself, as a tree and the path in it."""
    return Folder(path.parent), path.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Files and folders that are not hidden, by name, links last, so that they give way to what they name.

    Pipes and other oddities are passed over: they would block a reader.
    """
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(".") and _is_plain(entry)]
    except OSError as error:
        raise OncovecError(f"{folder}: cannot be listed ({error.strerror})") from None
    return sorted(kept, key=lambda entry: (entry.is_symlink(), entry.name))


def _is_plain(entry: os.DirEntry[str]) -> bool:
    # A link whose target is gone stays: its image is then reported as unreadable.
    return entry.is_file() or entry.is_dir() or (entry.is_symlink() and not Path(entry.path).exists())
