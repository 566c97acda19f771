"""Which systems there are: the one place that knows them all."""

from typing import Dict, Tuple, Type

from . import fanout, rivals
from .systems import System


def systems() -> Dict[str, Type[System]]:
    """Name -> class, in the order in which tables and plots show them."""
    classes: Tuple[Type[System], ...] = (
        fanout.Direct, fanout.StaticOne, fanout.Static, fanout.Swarm,
        rivals.Nginx, rivals.Aria2, rivals.Libtorrent)
    return {c.name: c for c in classes}
