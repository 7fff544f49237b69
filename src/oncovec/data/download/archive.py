"""Zip archives that came from elsewhere: checked before they are believed, then unpacked."""

import hashlib
import lzma
import os
import shutil
import stat
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo, _EndRecData  # type: ignore[attr-defined]

from oncovec.core.errors import OncovecError
from oncovec.core.parallel import ordered_map
from oncovec.core.progress import progress
from oncovec.data.download.manifest import Folders

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


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive that `inspect` has passed, with all cores; copy any other file.

    Hidden members are left out, and so is a folder of the archive's own name in which all of them lie.

    Args:
        path: the file.
        folder: where to; made where it is not there.

    Raises:
        OncovecError: when a member is damaged since it was checked, or two of them would be one file
            on a disk that does not tell upper from lower case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".zip":
        shutil.copyfile(path, folder / path.name)
        return
    try:
        members = [name for name in _members(path) if not any(part[0] == "." for part in name.split("/"))]
    except UnfitError as error:
        raise OncovecError(f"{path}: {error}; delete it and run again") from None
    _refuse_one_file(path, members)
    own = f"{path.stem}/"
    strip = len(own) if all(name.startswith(own) for name in members) else 0
    for parent in sorted({folder.joinpath(name[strip:]).parent for name in members}):
        parent.mkdir(parents=True, exist_ok=True)
    chunks = [members[start : start + CHUNK] for start in range(0, len(members), CHUNK)]
    with progress((), f"unpack {path.name}", total=len(members)) as bar:
        for count in ordered_map(partial(_unpack, path, folder, strip), chunks):
            bar.update(count)


def _refuse_one_file(path: Path, members: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name in members:
        other = first.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise OncovecError(
                f"{path}: {other!r} and {name!r} would be one file on many disks; not unpacked"
            )


def _unpack(path: Path, folder: Path, strip: int, members: Sequence[str]) -> int:
    for member in members:
        try:
            with (folder / member[strip:]).open("xb") as stream:
                for block in _blocks(path, member):
                    stream.write(block)
        except DamagedError as error:
            raise OncovecError(f"{path}: {error} since it was checked; run again to fetch it again") from None
        except OSError as error:
            raise OncovecError(f"{folder / member[strip:]}: not written ({error.strerror})") from None
    return len(members)


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
