"""The one exception whose message is written for the user."""


class UserError(Exception):
    """A problem that the user can fix: the message says what is wrong, where, and what to do next.

    Stage scripts and commands print the message alone, without a traceback, and exit with code 1.
    """
