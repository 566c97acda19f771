"""Which systems there are: the one place that knows them all."""

from . import fanout, rivals


def systems():
    """Name -> class, in the order in which tables and plots show them."""
    classes = (fanout.Direct, fanout.Static, fanout.Swarm,
               rivals.Nginx, rivals.Aria2, rivals.Libtorrent)
    return {c.name: c for c in classes}
