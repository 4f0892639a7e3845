"""The error for mistakes that the user can correct: one sentence that says what is wrong, where, and what to do."""


class UserError(Exception):
    """A mistake that the user can correct. The command line prints its message, a full sentence, and exits with 2."""
