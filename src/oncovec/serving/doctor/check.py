"""One check of the doctor: what was looked at, its state, and what was found or what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from oncovec.core.errors import OncovecError, one_line

OK, NOTE, MISSING = "ok", "note", "MISSING"
"""States: as needed; worth knowing; needed for `dvc repro` and not there."""

Found = tuple[str, str]
"""State and text."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    what: str
    state: str
    told: str


def looked_at(what: str, look: Callable[[], Found]) -> Check:
    """Look at something; a mistake or a package that is not there is a `MISSING` line."""
    try:
        state, told = look()
    except OncovecError as error:
        state, told = MISSING, str(error)
    except ImportError as error:
        state, told = MISSING, f"cannot import {error.name or 'a package'} ({error}); see packages"
    return Check(what, state, one_line(told))
