"""`python -m dec` is the `dec` command."""

import sys

from dec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
