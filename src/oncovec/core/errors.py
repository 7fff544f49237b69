"""The exception for problems that a user can cause; its message says what is wrong, where, and what to do."""


class OncovecError(Exception):
    """A problem with the user's input, files or params; it is shown as one line, never as a traceback."""
