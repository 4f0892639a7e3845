"""Errors that are the user's to mend: one sentence that says what, where and how."""


class UserError(Exception):
    """A mistake a user can mend. The message is one full sentence; the command line prints it and exits with 2."""
