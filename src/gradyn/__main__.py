"""`python -m gradyn` is `gradyn`."""

from __future__ import annotations

import sys

from gradyn.cli import main

if __name__ == "__main__":  # spawned workers import this module too
    sys.exit(main())
