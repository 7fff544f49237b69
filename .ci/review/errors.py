"""The exception for what keeps a checkout from being reviewed; its message is one line."""


class ReviewError(Exception):
    """The history, a revision or a file of the checkout cannot be read; the message says what to do."""
