"""The exception for problems that a user can cause; its message says what is wrong, where, and what to do."""


class OncovecError(Exception):
    """A problem with the user's input, files or params; it is shown as one line, never as a traceback."""


def not_there(path: object, target: str = "") -> OncovecError:
    """Return the error for an output that is missing.

    Args:
        path: the file or folder.
        target: the stage that makes it, such as `split@pcam`; empty for the whole pipeline.
    """
    return OncovecError(
        f"{path}: not there; fetch it (`dvc pull`) or make it (`{f'dvc repro {target}'.strip()}`)"
    )


def one_line(text: str) -> str:
    """Escape line breaks and other characters that are not printable, for example in the name of a file."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
