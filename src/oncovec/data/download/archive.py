"""Zip archives that came from elsewhere: checked before they are believed, and read member by member.

Nothing is ever extracted. Twenty gigabytes of images are not stored twice, 220,000 patches never become
files, and a member's name has no power over the disk.
"""

import errno
import hashlib
import lzma
import os
import stat
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo, _EndRecData  # type: ignore[attr-defined]

from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.data.download.manifest import Folders

LARGEST_MEMBER = 2**30
"""Bytes of a file that is read, which happens in memory."""

LARGEST_ARCHIVE = 2**40
"""Bytes of all files together, unpacked."""

HIGHEST_RATIO = 100
"""Bytes unpacked for each byte stored, over the whole archive; photographs lie near 1."""

HEADER = 30
"""Bytes in front of a member's name, which stands in front of its content."""

CHUNK, BLOCK = 128, 2**20

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
        infos = _open(path).infolist()
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
    if path.is_absolute() or ".." in path.parts:
        return "leads outside of the archive"
    if "\\" in info.orig_filename:
        return "has a backslash in its name"
    if "\0" in info.orig_filename or path.as_posix() != info.filename.removesuffix("/"):
        return "has no plain path for a name"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is a device or a pipe"
    if info.flag_bits & 0x1:
        return "is encrypted"
    return ""


def names(path: Path) -> list[str]:
    """Return the paths of the files in an archive, in its order.

    Raises:
        DamagedError: when it is no archive, or gone.
    """
    try:
        return [info.filename for info in _open(path).infolist() if not info.is_dir()]
    except _BROKEN as error:
        raise DamagedError(f"not a whole zip archive ({type(error).__name__})") from None


def read(path: Path, member: str) -> bytes:
    """Return the content of a member.

    Raises:
        OSError: for more than `LARGEST_MEMBER` bytes.
        DamagedError: when it does not have its checksum, or is gone.
    """
    try:
        size = _open(path).getinfo(member).file_size
    except (KeyError, *_BROKEN) as error:
        raise DamagedError(f"member {member!r} cannot be found ({type(error).__name__})") from None
    if size > LARGEST_MEMBER:
        raise OSError(errno.EFBIG, f"{size:,} bytes in one file")
    return b"".join(_blocks(path, member))


def _hashes(path: Path, members: Sequence[str]) -> list[str]:
    found = []
    for member in members:
        digest = hashlib.sha256()
        for block in _blocks(path, member):
            digest.update(block)
        found.append(digest.hexdigest())
    return found


def _blocks(path: Path, member: str) -> Iterator[bytes]:
    """Unpack one member, no further than the size that it announces."""
    try:
        archive = _open(path)
        left = archive.getinfo(member).file_size
        with archive.open(member) as stream:
            while block := stream.read(BLOCK):
                left -= len(block)
                yield block
        if left:
            raise BadZipFile("another size than announced")
    except _BROKEN as error:
        reason = (
            str(error).partition(" for file")[0] if isinstance(error, BadZipFile) else type(error).__name__
        )
        raise DamagedError(f"member {member!r} is damaged ({reason})") from None


_opened: dict[Path, tuple[int, ZipFile]] = {}
"""Archives by path, each with the process that opened its file."""


def _open(path: Path) -> ZipFile:
    """Open an archive once.

    A process that was forked keeps the directory that its parent has read, which takes 200 MB for
    277,000 members, and opens the file anew: a shared one has one position for both.
    """
    process, archive = _opened.get(path, (0, None))
    if archive is None:
        archive = ZipFile(path)
    elif process != os.getpid():
        archive.fp = path.open("rb")
    _opened[path] = os.getpid(), archive
    return archive


def close() -> None:
    """Close what was opened, before a file is thrown away or replaced."""
    for process, archive in _opened.values():
        if process == os.getpid():
            archive.close()
    _opened.clear()
