"""Markdown as GitHub shows it: tables, folds, code."""

from collections.abc import Iterable, Sequence
from typing import Any

from review.history import Change

LONGEST = 90
"""Characters of a value; a longer one is cut."""

MOST_ROWS = 320
"""Rows of a table; a comment may have 65,536 characters."""

MINUS = "-"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], rest: str = "") -> str:
    """Return a table; `rest` says where more rows than `MOST_ROWS` are found. Empty if there are no rows."""
    rows = list(rows)
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows[:MOST_ROWS]]
    told = ["| " + " | ".join(line) + " |" for line in lines]
    if len(rows) > MOST_ROWS:
        told += ["", f"and {len(rows) - MOST_ROWS} more: {rest}"]
    return "\n".join(told)


def fold(summary: str, content: str) -> str:
    """Return content that is shown on a click."""
    return f"<details><summary>{plain(summary)}</summary>\n\n{content}\n\n</details>" if content else ""


def plain(text: Any) -> str:
    """Return one line of text that cannot end a cell, begin HTML or name a person."""
    line = " ".join(str(text).split())
    line = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("@", "@\u200b"), ("`", "'")):
        line = line.replace(char, escaped)
    return line


def code(text: Any) -> str:
    """Return one line of code that may stand in a cell."""
    line = " ".join(str(text).split()).replace("`", "'")
    line = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    return "`" + line.replace("|", "\\|") + "`"


def number(value: Any, digits: str = ".3f") -> str:
    """Return a value for a cell: a count whole, any other number with `digits`, yes or no, `-` for None."""
    if value is None:
        return MINUS
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:{digits}}" if isinstance(value, float) else plain(value)


def change(found: Change | None) -> str:
    """Return a value before and after with the difference; the value alone if it did not change."""
    if found is None or not found.is_one:
        return number(found.new if found else None)
    told = f"{number(found.old)} → {number(found.new)}"
    if isinstance(found.new, float) and found.difference is not None:
        told += f" ({signed(found.difference)})"
    return told


def signed(difference: float | None) -> str:
    """Return a difference with its sign, with three decimals or, if they are zeros, one digit that is not."""
    if difference is None:
        return ""
    short = f"{difference:+.3f}"
    return short if float(short) else f"{difference:+.1g}"
