"""The raw files of a dataset: all plain files below a folder, by path, and the rule for hidden files."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from oncovec.core.errors import OncovecError

SYSTEM = (
    *("__macosx", "thumbs.db", "desktop.ini", "lost+found"),
    *("$recycle.bin", "recycler", "system volume information"),
    *("@eadir", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),
)
"""Names of files and folders, in lower case, that macOS, Linux, Windows or a NAS writes beside a user's."""

UNNAMED = "its name has a line break or is not UTF-8: rename the file"
"""Reason why an image is unreadable whose name is not `is_plain_text`."""


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
        """List all plain files, sorted, except hidden files and files in hidden folders; see `is_hidden`.

        Links to folders are followed. A folder that is reached twice is read once, by the path with fewer
        parts. So a dataset has each image once, and loops of links end. No file is opened, and the status of
        files is not read.

        Raises:
            OncovecError: if a folder cannot be listed.
        """
        return self.walk()[0]

    def walk(self, *, every: bool = False) -> tuple[list[str], list[str]]:
        """List all plain files as `paths` does, and what is hidden; a hidden folder ends with a slash.

        Args:
            every: whether a folder with several names through links is listed under each of them, because
                the names may belong to two splits. A link from inside a folder to the folder itself is not
                followed.

        Raises:
            OncovecError: if a folder cannot be listed.
        """
        files: list[str] = []
        hidden: list[str] = []
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
                path = folder + entry.name
                if is_hidden(entry.name):
                    hidden.append(f"{path}/" if entry.is_dir(follow_symlinks=False) else path)
                elif _is_folder(entry):
                    folders.append((f"{path}/", above | {here}))
                else:
                    files.append(path)
        return sorted(files), sorted(hidden)

    def folders(self) -> list[str]:
        """List the names of the folders at the top, sorted, also empty ones; hidden ones are left out."""
        return sorted(
            entry.name for entry in _entries(self.root) if _is_folder(entry) and not is_hidden(entry.name)
        )

    def read(self, path: str) -> bytes:
        """Return the content of one file."""
        return (self.root / path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        """Open one file for reading."""
        return (self.root / path).open("rb")

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


def kind(path: Path) -> Literal["folder", "file", ""]:
    """Return what is at a path; '' if nothing is, also for a path that the system refuses."""
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else ""
    except OSError:  # a name that is too long, or a folder without permission
        return ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or of the system: its name begins with a point, or is in `SYSTEM`.

    Names with ~$ are locks of open documents.
    """
    return name.startswith((".", "~$")) or name.casefold() in SYSTEM


def is_plain_text(name: str) -> bool:
    """Whether the name of a file can be written into a table as it is: UTF-8 without line breaks."""
    if name.isascii() and name.isprintable():
        return True
    # Python represents undecodable bytes of a file name as lone surrogates.
    return not any(letter in "\r\n\0" or "\ud800" <= letter <= "\udfff" for letter in name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """List the files and folders, sorted by name, links last.

    Links come last so that a folder is preferred to a link to it. Pipes and other special files are left out,
    because reading them would block.
    """
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if _is_plain(entry)]
    except OSError as error:
        raise OncovecError(f"{folder}: cannot be listed ({error.strerror})") from None
    return sorted(kept, key=lambda entry: (entry.is_symlink(), entry.name))


def _is_plain(entry: os.DirEntry[str]) -> bool:
    # A link without a target, or to itself, is kept, so that its image is reported as unreadable. A hidden
    # link may lead to where nothing may be read.
    return (
        is_hidden(entry.name)
        or _is_folder(entry)
        or (entry.is_symlink() and not Path(entry.path).exists())
        or entry.is_file()
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
