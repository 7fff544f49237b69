"""Zip archives that came from elsewhere: checked before they are believed, then read member by member.

Nothing is ever extracted. Twenty gigabytes of images are not stored twice, 220,000 patches never become
files, and a member's name has no power over the disk.
"""

import hashlib
import lzma
import os
import stat
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo, _EndRecData  # type: ignore[attr-defined]

from oncovec.errors import OncovecError
from oncovec.manifest import Folders
from oncovec.parallel import ordered_map
from oncovec.progress import progress

LARGEST_MEMBER = 2**30
"""Bytes of one file: a member is read into memory whole."""

LARGEST_ARCHIVE = 2**40
"""Bytes of all files together, unpacked."""

HIGHEST_RATIO = 100
"""Bytes unpacked for each byte stored, over the whole archive; photographs lie near 1."""

HEADER = 30
"""Bytes in front of a member's name, which stands in front of its content."""

CHUNK = 128

_BROKEN = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    zlib.error,
)
"""What zipfile raises for bytes that are no whole archive, depending on where it stumbles."""


class UnfitError(Exception):
    """An archive that is not to be read; the text says why, in one line."""


class DamagedError(UnfitError):
    """An archive that is not what it was when it was made."""


class HostileError(UnfitError):
    """An archive that no publisher of images would make, unless a bit of its directory has turned."""


def inspect(path: Path) -> Folders:
    """Check an archive's directory, read every member once, and describe what is in it.

    Returns:
        For each folder (`.` is the root) the number of its `files` and one `sha256` over their sorted
        names and contents; the same for the same files, however they are packed.

    Raises:
        DamagedError: for an archive that is cut, or whose members do not have their checksums.
        HostileError: for links, devices, encryption, paths that lead outside, two members of a name,
            members that share bytes, and sizes beyond the limits of this module.
    """
    members = _members(path)
    chunks = [members[start : start + CHUNK] for start in range(0, len(members), CHUNK)]
    blocks = ordered_map(partial(_hashes, path), chunks)
    lines: dict[str, list[str]] = defaultdict(list)
    digests = progress(chain.from_iterable(blocks), f"verify {path.name}", total=len(members))
    for member, digest in zip(members, digests, strict=True):
        folder = PurePosixPath(member).parent.as_posix()
        lines[folder].append(f"{PurePosixPath(member).name}\0{digest}\n")
    return {
        folder: {"files": len(found), "sha256": hashlib.sha256("".join(found).encode()).hexdigest()}
        for folder, found in sorted(lines.items())
    }


def _members(path: Path) -> list[str]:
    """Sorted names of the files in an archive whose directory is harmless."""
    try:
        infos = _open(path, os.getpid()).infolist()
        with path.open("rb") as stream:
            announced = _EndRecData(stream)[4]  # which zipfile reads, and does not compare
    except _BROKEN as error:
        raise DamagedError(f"not a whole zip archive ({type(error).__name__})") from None
    if len(infos) != announced:
        raise DamagedError(f"its directory lists {len(infos):,} members and announces {announced:,}")
    size = path.stat().st_size
    for info in infos:
        if problem := _problem(info):
            raise HostileError(f"refused: member {info.orig_filename!r} {problem}")
    files = [info for info in infos if not info.is_dir()]
    names = sorted(info.filename for info in files)
    unpacked = sum(info.file_size for info in files)
    if len(set(names)) < len(names):
        twice = next(one for one, other in pairwise(names) if one == other)
        raise HostileError(f"refused: two members are named {twice!r}")
    if _overlap(infos):
        raise HostileError("refused: members share bytes of the archive (a zip bomb)")
    if unpacked > min(LARGEST_ARCHIVE, HIGHEST_RATIO * size):
        raise HostileError(
            f"refused: {size:,} bytes would unpack to {unpacked:,}, more than {HIGHEST_RATIO} times "
            f"as much or {LARGEST_ARCHIVE:,} (a zip bomb)"
        )
    return names


def _overlap(infos: Sequence[ZipInfo]) -> bool:
    """Whether a member begins before the one in front of it ends."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    return any(
        one.header_offset + HEADER + len(one.orig_filename) + one.compress_size > other.header_offset
        for one, other in pairwise(ordered)
    )


def _problem(info: ZipInfo) -> str:
    """Why no publisher of images would have a member like this; empty for a harmless one."""
    path = PurePosixPath(info.orig_filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in info.orig_filename:
        return "leads outside of the archive"
    if "\0" in info.orig_filename or path.as_posix() != info.filename.removesuffix("/"):
        return "has no plain path for a name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is a device or a pipe"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > LARGEST_MEMBER:
        return f"has {info.file_size:,} bytes, more than {LARGEST_MEMBER:,}"
    return ""


def _hashes(path: Path, members: Sequence[str]) -> list[str]:
    return [hashlib.sha256(_read(path, member)).hexdigest() for member in members]


def _read(path: Path, member: str) -> bytes:
    """Unpack one member, no further than the size that it announces."""
    try:
        archive = _open(path, os.getpid())
        info = archive.getinfo(member)
        with archive.open(info) as stream:
            content = stream.read(info.file_size + 1)  # beyond the end, where its checksum is compared
        if len(content) != info.file_size:
            raise BadZipFile("another size than announced")
    except _BROKEN as error:
        reason = str(error) if isinstance(error, BadZipFile) else type(error).__name__
        raise DamagedError(f"member {member!r} is damaged ({reason})") from None
    return content


@cache
def _open(path: Path, process: int) -> ZipFile:
    """Open an archive once a process: a forked one would move the file's position under its parent."""
    return ZipFile(path)


def forget() -> None:
    """Close what was opened, before a file is thrown away or replaced."""
    _open.cache_clear()
    _owners.cache_clear()


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
            inside = _open(self.path, os.getpid()).namelist() if self.is_archive else [self.path.name]
        except _BROKEN:
            raise self._changed(str(self.path)) from None
        kept = [name.removeprefix(self.inside) for name in inside if name.startswith(self.inside)]
        return [self.prefix + name for name in kept if not name.endswith("/") and name and not _hidden(name)]

    def read(self, path: str) -> bytes:
        """Read one of the files.

        Raises:
            OncovecError: when the archive was damaged or removed after it had been checked.
        """
        try:
            if self.is_archive:
                return _read(self.path, self._member(path))
            return self.path.read_bytes()
        except (DamagedError, OSError):
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
    """The fetched file that holds each file of the dataset."""
    return {path: mount for mount in mounts for path in mount.files()}
