"""What was fetched as a tree of files, in the layout that a folder of them would have."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oncovec.core.errors import OncovecError
from oncovec.data.download import archive
from oncovec.data.download.archive import DamagedError


@dataclass(frozen=True)
class Mount:
    """A fetched file and where its files lie in the dataset.

    Attributes:
        path: the archive, or a file by itself.
        prefix: the folder of the dataset that they lie in, ending in `/`; '' for the root.
        inside: the folder of the archive that is taken, ending in `/`; '' for all of it.
    """

    path: Path
    prefix: str = ""
    inside: str = ""

    @property
    def is_archive(self) -> bool:
        """Whether it holds the files, rather than being one of them."""
        return self.path.suffix == ".zip"

    def files(self) -> list[str]:
        """Paths of the files in the dataset; hidden ones are passed over, as in a folder.

        Raises:
            OncovecError: when the archive was damaged or removed after it had been checked.
        """
        try:
            inside = archive.names(self.path) if self.is_archive else [self.path.name]
        except DamagedError:
            raise self._changed(str(self.path)) from None
        kept = [name.removeprefix(self.inside) for name in inside if name.startswith(self.inside)]
        return [self.prefix + name for name in kept if not _hidden(name)]

    def read(self, path: str) -> bytes:
        """Read one of the files.

        Raises:
            OSError: for a file of more than `archive.LARGEST_MEMBER` bytes.
            OncovecError: when the archive was damaged or removed after it had been checked.
        """
        try:
            if self.is_archive:
                return archive.read(self.path, self._member(path))
            return self.path.read_bytes()
        except (DamagedError, FileNotFoundError):
            raise self._changed(self.where(path)) from None

    def _changed(self, where: str) -> OncovecError:
        return OncovecError(
            f"{where}: damaged since it was fetched, or gone; `dvc repro --force --single-item "
            "download@DATASET` checks what is there and fetches it again"
        )

    def where(self, path: str) -> str:
        """Name one of the files in a message."""
        return f"{self.path}: {self._member(path)}" if self.is_archive else str(self.path)

    def _member(self, path: str) -> str:
        return self.inside + path.removeprefix(self.prefix)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


@dataclass(frozen=True)
class Archives:
    """A dataset's raw files inside of what was fetched, in the layout that a folder of them would have."""

    name: str
    mounts: tuple[Mount, ...]

    def __str__(self) -> str:
        return f"{self.name} (remote)"

    def paths(self) -> list[str]:
        """Every file, sorted."""
        return sorted(_owners(self.mounts))

    def folders(self) -> list[str]:
        """Names of the folders at the top that hold files, sorted."""
        return sorted({path.partition("/")[0] for path in _owners(self.mounts) if "/" in path})

    def read(self, path: str) -> bytes:
        """Read a file; see `Mount.read`."""
        if path not in (owners := _owners(self.mounts)):
            raise FileNotFoundError(2, "No such file", path)
        return owners[path].read(path)

    def where(self, path: str) -> str:
        """Name a file in a message."""
        owner = _owners(self.mounts).get(path)
        return owner.where(path) if owner else f"{self}: {path}"

    def problem(self, path: str) -> str:
        """Say why a path of a table cannot be used; empty for a file that is there."""
        return "" if path in _owners(self.mounts) else f"is not there; paths are relative to {self}"


@cache
def _owners(mounts: tuple[Mount, ...]) -> dict[str, Mount]:
    """The fetched file that holds each file of the dataset.

    Raises:
        OncovecError: when two hold the same one.
    """
    owners: dict[str, Mount] = {}
    for mount in mounts:
        for path in mount.files():
            if (first := owners.setdefault(path, mount)) is not mount:
                raise OncovecError(f"{path} is in two archives, {first.path} and {mount.path}")
    return owners


def forget() -> None:
    """Close what was opened and forget what was in it, before a file is thrown away or replaced."""
    archive.close()
    _owners.cache_clear()
