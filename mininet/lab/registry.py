"""Which systems there are: the one place that knows them all."""

from typing import Dict, Mapping, Optional, Sequence, Tuple, Type

from . import fanout, own, rivals
from .systems import System

# In the order in which tables and plots show them. A new system's class is added here.
BUILT_IN: Tuple[Type[System], ...] = (
    fanout.Direct, fanout.StaticOne, fanout.Static, fanout.Swarm,
    rivals.Nginx, rivals.Aria2, rivals.Libtorrent)


def systems(programs: Optional[Mapping[str, Sequence[str]]] = None,
            cwd: Optional[str] = None) -> Dict[str, Type[System]]:
    """Name -> class. programs are a user's own, {name: (server command, client command)}, and come last;
    cwd is the directory in which they run (by default the present one)."""
    known: Dict[str, Type[System]] = {c.name: c for c in BUILT_IN}
    for name, (server, client) in (programs or {}).items():
        own.check_name(name, known)
        known[name] = own.make_class(name, server, client, cwd)
    return known
