"""The parts of a trained system: its files, read alike from a checkout and from an exported file."""

import json
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from oncovec.core import checkout, params, paths
from oncovec.core.errors import OncovecError, not_there
from oncovec.core.recipes import Name
from oncovec.core.rows import refuse_unknown


class Parts(Protocol):
    """The files of a trained system; each is named by its path in a checkout (`core.paths`).

    Attributes:
        name: name of the system.
        again: what to do if a part is damaged.
    """

    name: str
    again: str

    def where(self, part: Path) -> str:
        """Return the name of a part, for messages."""

    def read(self, part: Path) -> bytes:
        """Return the content of a part.

        Raises:
            OncovecError: if it is missing or cannot be read.
        """

    def below(self, folder: Path) -> list[Path]:
        """List the JSON files in a folder, sorted; none if there is no such folder."""

    def bootstrap(self) -> tuple[int, int]:
        """Return number of replicates and random seed of the bootstrap."""


def read_object(parts: Parts, part: Path, *needed: str, again: str = "") -> dict[str, Any]:
    """Read a part that is a JSON object.

    Args:
        parts: the files of a system.
        part: one of them.
        needed: keys that it must have.
        again: what to do if it is damaged; by default what `parts` says.

    Raises:
        OncovecError: if it is missing or damaged, or lacks one of `needed`.
    """
    try:
        content = json.loads(parts.read(part))
    except ValueError as error:
        raise OncovecError(f"{parts.where(part)}: damaged ({error}); {again or parts.again}") from None
    lacking = [key for key in needed if key not in content] if isinstance(content, dict) else needed
    if lacking:
        raise OncovecError(f"{parts.where(part)}: lacks {', '.join(lacking)}; {again or parts.again}")
    return dict(content)


class CheckoutParts:
    """The files of a trained system in a checkout; methods as in `Parts`.

    Args:
        name: name of a trained row of `systems:`.
        root: root of the checkout; by default that of the working directory.

    Raises:
        OncovecError: if the name cannot be that of a row, or there is no checkout.
    """

    def __init__(self, name: object, root: Path | None = None):
        try:
            self.name: str = TypeAdapter(Name).validate_python(name)
        except ValidationError:
            raise OncovecError(
                f"{name!r} is no name of a system: letters, digits, - and _, and a letter or digit first; "
                "an exported file ends in .oncovec"
            ) from None
        self.root = checkout.find() if root is None else root
        self.again = f"run `dvc repro evaluate@{name}`"

    def where(self, part: Path) -> str:
        """Return the path of a part."""
        return str(self.root / part)

    def read(self, part: Path) -> bytes:
        """Return the content of a part."""
        try:
            return (self.root / part).read_bytes()
        except FileNotFoundError:
            raise self._missing(part) from None
        except OSError as error:
            raise OncovecError(f"{self.where(part)}: cannot be read ({error}); {self.again}") from None

    def _missing(self, part: Path) -> OncovecError:
        if part == paths.weights(self.name):
            refuse_unknown(self.name, self.root)
            trained = sorted(file.parent.name for file in (self.root / paths.MODELS).glob(f"*/{part.name}"))
            if trained:
                there = f"there are {', '.join(trained)}"
                return OncovecError(f"{self.where(part)}: no such trained system; {there}; {self.again}")
        return not_there(self.where(part), f"evaluate@{self.name}")

    def below(self, folder: Path) -> list[Path]:
        """List the JSON files in a folder."""
        return sorted(path.relative_to(self.root) for path in (self.root / folder).glob("*.json"))

    def bootstrap(self) -> tuple[int, int]:
        """Return number of replicates and random seed of the bootstrap, from params.yaml."""
        evaluate = params.load(self.root / paths.PARAMS).evaluate
        return evaluate.bootstrap, evaluate.seed
