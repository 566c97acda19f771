#!/usr/bin/python3
"""The fanout lab. See README.md, or sweep.py --help.

Run it with the system's Python: Mininet, matplotlib and libtorrent are system packages.
"""

import os
import sys

# This folder shares its name with the Mininet package; only its contents may be importable.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [HERE] + [p for p in sys.path
                        if os.path.abspath(p or ".") not in (HERE, os.path.dirname(HERE))]

from lab.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
