"""Downloaded zip archives: check them, then unpack them."""

import hashlib
import lzma
import shutil
import stat
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TypeVar
from zipfile import BadZipFile, ZipFile, ZipInfo

from oncovec.core.errors import OncovecError
from oncovec.core.parallel import cpu_count
from oncovec.core.progress import progress
from oncovec.data.download.manifest import Folders

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGEST_ARCHIVE = 2**40
"""Largest size in bytes of all unpacked files together."""

HIGHEST_RATIO = 100
"""Largest ratio of unpacked to stored bytes, over the whole archive; photographs have a ratio near 1."""

HEADER = 30
"""Bytes before a member's name; the name comes before the member's content."""

DIRECTORY_END = 2**17
"""Bytes at the end of an archive that contain the end record of its directory, with its comment."""

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
"""Errors that zipfile may raise for an incomplete or damaged archive."""


class UnfitError(Exception):
    """Error for an archive that must not be read; the text is the reason, in one line."""


class DamagedError(UnfitError):
    """Error for an archive whose content has changed since it was made."""


class HostileError(UnfitError):
    """Error for an archive that no publisher of images would make, unless its directory is damaged."""


def inspect(path: Path) -> Folders:
    """Check an archive's directory, read every member once, and describe the content.

    Returns:
        For each folder (`.` is the root), the number of its `files` and one `sha256` over their sorted names
        and contents. The result is the same for the same files, however they are packed.

    Raises:
        DamagedError: for an archive that is truncated, or whose members do not match their checksums.
        HostileError: for links, devices, encryption, paths that lead outside, two members of the same name,
            members that share bytes, and sizes above the limits of this module.
    """
    lines: dict[str, list[str]] = defaultdict(list)
    with _open(path) as archive:
        members = _members(archive, path)
        digests = _each(partial(_digest, archive, Lock()), members, f"verify {path.name}")
        for info, digest in zip(members, digests, strict=True):
            name = PurePosixPath(info.filename)
            lines[name.parent.as_posix()].append(f"{name.name}\0{digest}\n")
    return {
        folder: {"files": len(found), "sha256": hashlib.sha256("".join(found).encode()).hexdigest()}
        for folder, found in sorted(lines.items())
    }


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive, with the checks of `inspect`; copy any other file.

    Hidden members are left out. If all members are in a folder with the archive's own name, that folder is
    removed from their paths.

    Args:
        path: the file.
        folder: the output folder; it is created if it is missing.

    Raises:
        OncovecError: for an archive that `inspect` refuses; if a file exists already or cannot be written, or
            two names would be the same file on a disk that ignores case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".zip":
        shutil.copyfile(path, folder / path.name)
        return
    try:
        _unpack(path, folder)
    except UnfitError as error:
        raise OncovecError(f"{path}: {error}; delete it and run again to fetch it anew") from None


def _unpack(path: Path, folder: Path) -> None:
    with _open(path) as archive:
        found = _members(archive, path)
        members = [info for info in found if not any(part[0] == "." for part in info.filename.split("/"))]
        own = f"{path.stem}/"
        strip = len(own) if all(info.filename.startswith(own) for info in members) else 0
        targets = [folder / info.filename[strip:] for info in members]
        _refuse_one_file(path, [info.filename for info in members])
        for parent in sorted({target.parent for target in targets}):
            parent.mkdir(parents=True, exist_ok=True)
        pairs = list(zip(members, targets, strict=True))
        for _ in _each(partial(_write, archive, Lock()), pairs, f"unpack {path.name}"):
            pass


def _open(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except _BROKEN as error:
        raise DamagedError(f"not a whole zip archive ({type(error).__name__})") from None


def _members(archive: ZipFile, path: Path) -> list[ZipInfo]:
    """List the files in an archive, sorted by name; refuse a damaged or hostile directory."""
    infos, announced = archive.infolist(), _announced(path)
    if len(infos) != announced:
        raise DamagedError(f"its directory lists {len(infos):,} members and announces {announced:,}")
    for info in infos:
        if problem := _problem(info):
            raise HostileError(f"refused: member {info.orig_filename!r} {problem}")
    files = sorted((info for info in infos if not info.is_dir()), key=lambda info: info.filename)
    for one, other in pairwise(files):
        if one.filename == other.filename:
            raise HostileError(f"refused: two members are named {one.filename!r}")
    if _overlap(infos):
        raise HostileError("refused: members share bytes of the archive (a zip bomb)")
    size, unpacked = path.stat().st_size, sum(info.file_size for info in files)
    if unpacked > min(LARGEST_ARCHIVE, HIGHEST_RATIO * size):
        raise HostileError(
            f"refused: {size:,} bytes would unpack to {unpacked:,}, more than {HIGHEST_RATIO} times "
            f"as much or {LARGEST_ARCHIVE:,} (a zip bomb)"
        )
    return files


def _announced(path: Path) -> int:
    """Read the number of members from the end record of the directory, which zipfile does not check."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - DIRECTORY_END))
        end = stream.read()
    at = end.rfind(b"PK\5\6")
    large = end.rfind(b"PK\6\6", 0, at)
    count = int.from_bytes(end[at + 10 : at + 12], "little")
    return int.from_bytes(end[large + 32 : large + 40], "little") if count == 0xFFFF and large >= 0 else count


def _overlap(infos: Sequence[ZipInfo]) -> bool:
    """Whether a member begins before the end of the previous member."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    return any(
        one.header_offset + HEADER + len(one.orig_filename) + one.compress_size > other.header_offset
        for one, other in pairwise(ordered)
    )


def _problem(info: ZipInfo) -> str:
    """Return the reason why a member is refused; empty for a harmless member."""
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


def _refuse_one_file(path: Path, names: Sequence[str]) -> None:
    """Refuse names of files and folders that differ only in case or in the Unicode form of an umlaut."""
    first: dict[str, str] = {}
    parents = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    for name in [*sorted(parents), *names]:
        other = first.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise OncovecError(f"{path}: {other!r} and {name!r} would be one on many disks; not unpacked")


def _each(function: Callable[[Item], Result], items: Sequence[Item], what: str) -> Iterator[Result]:
    """Yield `function(item)` in order, with a progress bar.

    The calls run in threads, because unpacking and hashing release the interpreter lock.
    """
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(cpu_count()) as pool, progress((), what, total=len(items)) as bar:
        for found in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            yield from found
            bar.update(len(found))


def _digest(archive: ZipFile, lock: Lock, info: ZipInfo) -> str:
    digest = hashlib.sha256()
    for block in _blocks(archive, lock, info):
        digest.update(block)
    return digest.hexdigest()


def _write(archive: ZipFile, lock: Lock, pair: tuple[ZipInfo, Path]) -> None:
    info, target = pair
    try:
        with target.open("xb") as stream:
            for block in _blocks(archive, lock, info):
                stream.write(block)
    except OSError as error:
        raise OncovecError(f"{target}: not written ({error.strerror})") from None


def _blocks(archive: ZipFile, lock: Lock, info: ZipInfo) -> Iterator[bytes]:
    """Yield the unpacked blocks of one member, up to its announced size; the lock is for open and close."""
    try:
        left = info.file_size
        with lock:
            stream = archive.open(info)
        try:
            while block := stream.read(BLOCK):
                left -= len(block)
                yield block
        finally:
            with lock:
                stream.close()
        if left:
            raise BadZipFile("another size than announced")
    except _BROKEN as error:
        reason = (
            str(error).partition(" for file")[0] if isinstance(error, BadZipFile) else type(error).__name__
        )
        raise DamagedError(f"member {info.filename!r} is damaged ({reason})") from None
