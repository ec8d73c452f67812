"""The error of a user: something that whoever calls can put right."""

from __future__ import annotations


class UserError(ValueError):
    """A wrong argument, file or combination of them; its message names it, its value and the fix.

    The command line prints it alone. Any other exception there is reported as a bug.
    """
