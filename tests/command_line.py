"""The command line inside the process of the tests."""

import contextlib
import io

from dec.cli import main as cli


def run(*words):
    """The exit status, stdout and stderr of a command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main([str(word) for word in words])
        except SystemExit as end:  # argparse after --help
            status = end.code
    return status, out.getvalue(), err.getvalue()
