"""The raw files of a dataset: all plain files below a folder, by path."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from oncovec.core.errors import OncovecError


@dataclass(frozen=True)
class Folder:
    """A tree of files on disk."""

    root: Path
    _inside: dict[PurePosixPath, bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.root)

    def __reduce__(self) -> tuple[type["Folder"], tuple[Path]]:
        # The cache of resolved paths is not pickled, because workers get the folder again with every chunk.
        return Folder, (self.root,)

    def paths(self) -> list[str]:
        """List all plain files, sorted, except hidden files and files in hidden folders.

        Links to folders are followed. A folder that is reached twice is read once, by the path with fewer
        parts. So a dataset has each image once, and loops of links end. No file is opened, and the status of
        files is not read.

        Raises:
            OncovecError: if a folder cannot be listed.
        """
        return self._walk(every=False)

    def every_path(self) -> list[str]:
        """List all plain files by every path that leads to them, sorted.

        This differs from `paths` for a folder with several names through links: it is listed under each of
        them, because the names may belong to two splits. A link from inside a folder to the folder itself is
        not followed.

        Raises:
            OncovecError: if a folder cannot be listed.
        """
        return self._walk(every=True)

    def _walk(self, *, every: bool) -> list[str]:
        files: list[str] = []
        seen: set[tuple[int, int]] = set()
        folders: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        for folder, above in folders:  # the list grows during the loop
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
        """List the names of the folders at the top, sorted, also empty ones; hidden ones are left out."""
        return sorted(entry.name for entry in _entries(self.root) if entry.is_dir())

    def read(self, path: str) -> bytes:
        """Return the content of one file."""
        return (self.root / path).read_bytes()

    def where(self, path: str) -> str:
        """Return the path of one file for messages."""
        return str(self.root / path)

    def problem(self, path: str) -> str:
        """Say why a path from a user's table cannot be used; empty if it can.

        A path may be missing, may not be a file, or may be outside of the tree through a link.
        """
        place = PurePosixPath(path)
        try:
            status = os.lstat(self.root / place)
            # Only folders and links are resolved; a plain file is inside if its folder is inside.
            inside = self._is_inside(place if stat.S_ISLNK(status.st_mode) else place.parent)
            regular = stat.S_ISREG(status.st_mode) or (self.root / place).is_file()
        except (OSError, RuntimeError, ValueError):  # RuntimeError: a link that leads to itself
            return f"is not there; paths are relative to {self}"
        if not inside:
            return f"is a link that points outside of {self}"
        return "" if regular else "is not a file"

    def _is_inside(self, place: PurePosixPath) -> bool:
        """Whether a folder or a link is below the root; cached, because many files are in few folders."""
        if place not in self._inside:
            resolved = (self.root / place).resolve(strict=True)
            self._inside[place] = resolved.is_relative_to(self.root.resolve())
        return self._inside[place]


def alone(path: Path) -> tuple[Folder, str]:
    """Return the folder of one file as a tree, and the path of the file in it."""
    return Folder(path.parent), path.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """List the files and folders that are not hidden, sorted by name, links last.

    Links come last so that a folder is preferred to a link to it. Pipes and other special files are left out,
    because reading them would block.
    """
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(".") and _is_plain(entry)]
    except OSError as error:
        raise OncovecError(f"{folder}: cannot be listed ({error.strerror})") from None
    return sorted(kept, key=lambda entry: (entry.is_symlink(), entry.name))


def _is_plain(entry: os.DirEntry[str]) -> bool:
    # A link without a target is kept, so that its image is reported as unreadable.
    return entry.is_file() or entry.is_dir() or (entry.is_symlink() and not Path(entry.path).exists())
