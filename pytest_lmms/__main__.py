"""`python -m pytest_lmms`: the same as `pytest-lmms`."""

from __future__ import annotations

import sys

from pytest_lmms.cli import main

if __name__ == "__main__":
    sys.exit(main())
