"""What a measurement must say about itself: which programs, where, when."""

import datetime
import os
import platform
import socket
from typing import Any, Dict, List, Type

from .plan import Point
from .procs import output
from .systems import System


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(moment: datetime.datetime) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds")


def environment(points: List[Point], classes: Dict[str, Type[System]], repo: str) -> Dict[str, Any]:
    """Of all runs of a session: machine, kernel, versions."""
    versions: Dict[str, str] = {}
    for name in dict.fromkeys(p.system for p in points):
        versions.update(classes[name].versions(repo))
    versions["Mininet"] = mininet_version()
    versions["Python"] = platform.python_version()
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        models = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    return {"host": socket.gethostname(), "kernel": platform.release(), "cpus": os.cpu_count(),
            "cpu_model": models[0] if models else platform.machine(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)),
            "congestion_control": None, "versions": versions}


def mininet_version() -> str:
    try:
        from mininet.net import VERSION
        return str(VERSION)
    except ImportError:
        return output("mn", "--version")
