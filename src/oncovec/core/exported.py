"""An exported file: a trained system as one zip of plain files, the same bytes for the same content."""

import io
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from oncovec.core.errors import OncovecError
from oncovec.core.recipes import Name, Seed

SUFFIX = ".oncovec"
"""How the name of an exported file ends."""

FORMAT = 3
"""Version of the format; files of a later one are refused."""

ABOUT = Path("about.json")
"""Member that says what the file is, see `About`."""

CARD = Path("model_card.md")
"""Member with the model card."""

DAMAGES = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, struct.error)
"""What reading a damaged zip may raise."""


class About(BaseModel):
    """What an exported file says about itself.

    Attributes:
        format: version of the format.
        system: name of the system.
        oncovec: version of the library that wrote the file.
        bootstrap: number of bootstrap replicates.
        seed: random seed of the bootstrap.
    """

    format: int
    system: Name
    oncovec: str
    bootstrap: Annotated[int, Field(ge=1)]
    seed: Seed


class ExportedParts:
    """The files of a trained system in an exported file; methods as in `core.parts.Parts`.

    Nothing is unpacked to disk. The file is opened anew for each part, so that the object can be pickled.

    Args:
        file: the exported file.

    Raises:
        OncovecError: if there is no such file, it is damaged or no exported system, or a newer version of
            Oncovec wrote it.
    """

    def __init__(self, file: Path):
        self.file = file
        self.again = "get or export the file again"
        if not file.is_file():
            raise OncovecError(f"{file}: {'a folder' if file.is_dir() else 'no such file'}")
        self.about = self._read_about()
        self.name: str = self.about.system

    def _read_about(self) -> About:
        try:
            content = TypeAdapter(dict[str, Any]).validate_json(self.read(ABOUT))
            if isinstance(written := content.get("format"), int) and written > FORMAT:
                raise OncovecError(
                    f"{self.file}: written by a newer Oncovec, {content.get('oncovec')!r} (format {written}; "
                    f"this one reads {FORMAT}); install that version"
                )
            return About.model_validate(content)
        except ValidationError:
            raise OncovecError(f"{self.where(ABOUT)}: not of an exported system; {self.again}") from None

    def where(self, part: Path) -> str:
        """Return the name of the file and the path of the part in it."""
        return f"{self.file}: {part.as_posix()}"

    def read(self, part: Path) -> bytes:
        """Return the content of a part."""
        name = part.as_posix()
        with self._open() as archive:
            if name not in archive.namelist():
                raise OncovecError(f"{self.file}: no exported system: it has no {name}; {self.again}")
            member = archive.getinfo(name)
            # A packed member, or a false size, may take far more memory than the file has bytes.
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > self.file.stat().st_size:
                raise zipfile.BadZipFile(f"{name} is not stored as it is")
            return archive.read(member)

    def below(self, folder: Path) -> list[Path]:
        """List the JSON files in a folder."""
        with self._open() as archive:
            found = [Path(name) for name in archive.namelist()]
        return sorted(path for path in found if path.parent == folder and path.suffix == ".json")

    def bootstrap(self) -> tuple[int, int]:
        """Return number of replicates and random seed of the bootstrap, from the checkout that exported."""
        return self.about.bootstrap, self.about.seed

    @contextmanager
    def _open(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.file) as archive:
                yield archive
        except DAMAGES as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise OncovecError(
                f"{self.file}: damaged, or no exported system ({reason}); {self.again}"
            ) from None


def is_exported(system: object) -> bool:
    """Return whether a system is given as an exported file, by the ending of its name."""
    return isinstance(system, str | os.PathLike) and Path(system).suffix == SUFFIX


def pack(members: Mapping[Path, bytes]) -> bytes:
    """Pack files into a zip, stored and without their times, so that equal files give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path, content in members.items():
            info = zipfile.ZipInfo(path.as_posix())  # the date is 1980-01-01, the first that a zip can have
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return stream.getvalue()
