"""The one error that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: the message says what was found, where, and what to do next.

    Stage scripts print the message alone, without a traceback, and exit with code 1.
    """
