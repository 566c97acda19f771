"""Puts the lab on the path. The folder above shares its name with the Mininet package, which
must win: it does, since this folder has no __init__.py and so is no package of its own."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
