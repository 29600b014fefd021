"""The one exception whose message is written for the user."""


class UserError(Exception):
    """A problem that the user can fix: the message names the problem, its location and the next step.

    Stage scripts and commands print only the message, without a traceback, and exit with code 1.
    """
