"""The one error that a user can cause: a line that says what is wrong, where, and what to do."""


class OncovecError(Exception):
    """A problem with the user's input, files or params; shown as one line, never as a traceback."""
