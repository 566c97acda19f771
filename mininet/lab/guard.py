"""Watches the machine and the links while a run goes on.

An emulated network shares one machine's processors. A run during which they were all
busy measures the machine instead of the network: `verdict` says so.
"""

import os
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import topology

BUSY_MEAN = 0.90      # of all cores, over the whole run
BUSY_WINDOW = 0.97    # a quarter second with less idle time than this leaves ...
WINDOW_SHARE = 0.25   # ... may be no more than this share of the run
STEAL = 0.10          # of the machine taken away by its host
WINDOW = 0.25         # seconds


def parse_stat(line: str) -> Dict[str, int]:
    """The `cpu` line of /proc/stat -> {'total', 'idle', 'softirq', 'steal'} in ticks. Pure."""
    f = [int(x) for x in line.split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = f
    return {"total": sum(f), "idle": idle + iowait, "softirq": softirq + irq, "steal": steal}


def shares(samples: Sequence[Tuple[float, Dict[str, Any]]]) -> Dict[str, float]:
    """[(seconds, ticks dict)] -> mean shares and the busy share of each window. Pure."""
    first, last = samples[0][1], samples[-1][1]
    total = max(1, last["total"] - first["total"])
    windows: List[float] = []
    at = samples[0]
    for s in samples[1:]:
        if s[0] - at[0] >= WINDOW:
            ticks = max(1, s[1]["total"] - at[1]["total"])
            windows.append(1 - (s[1]["idle"] - at[1]["idle"]) / ticks)
            at = s
    busy = 1 - (last["idle"] - first["idle"]) / total
    return {"busy": busy,
            "busy_max": max(windows, default=busy),
            "full_windows": (sum(w > BUSY_WINDOW for w in windows) / len(windows)
                             if windows else 0.0),
            "softirq": (last["softirq"] - first["softirq"]) / total,
            "steal": (last["steal"] - first["steal"]) / total,
            "seconds": (total - (last["idle"] - first["idle"])) / os.sysconf("SC_CLK_TCK")}


def verdict(s: Dict[str, float]) -> Optional[str]:
    """Why the run measured the machine, or None. Pure."""
    if s["busy"] > BUSY_MEAN:
        return f"processors {s['busy'] * 100:.0f} % busy"
    if s["full_windows"] > WINDOW_SHARE:
        return f"no idle processor in {s['full_windows'] * 100:.0f} % of the run"
    if s["steal"] > STEAL:
        return f"{s['steal'] * 100:.0f} % of the machine stolen by its host"
    return None


class Watch(threading.Thread):
    """Samples until stopped; afterwards `cpu()` and `curves()` tell what it saw."""

    def __init__(self, peers: Sequence[topology.Host], size: int, interval: float):
        super().__init__(daemon=True)
        self._size, self._interval = size, interval
        self._stat = os.open("/proc/stat", os.O_RDONLY)
        # What a switch port sends is what the host behind it receives, after the shaper.
        self._ports = {p.name: [os.open(f"/sys/class/net/{p.port}/statistics/tx_{what}", os.O_RDONLY)
                                for what in ("bytes", "packets")] for p in peers}
        self._cpu: List[Tuple[float, Dict[str, int]]] = []
        self._times: List[float] = []
        self._rx: Dict[str, List[int]] = {name: [] for name in self._ports}
        self._base: Dict[str, int] = {}
        self._end = threading.Event()
        self._t0: Optional[float] = None

    def begin(self, t0: float) -> None:
        self._t0 = t0
        self._base = {n: self._received(n) for n in self._ports}
        self._sample()
        self.start()

    def _sample(self) -> None:
        assert self._t0 is not None
        now = time.monotonic()
        self._cpu.append((now, parse_stat(os.pread(self._stat, 256, 0).decode().split("\n")[0])))
        for n in self._ports:
            self._rx[n].append(self._received(n) - self._base[n])
        self._times.append(now - self._t0)

    def _received(self, name: str) -> int:
        """Payload bytes; see topology.payload."""
        count, packets = (int(os.pread(fd, 32, 0)) for fd in self._ports[name])
        return topology.payload(count, packets)

    def run(self) -> None:
        while not self._end.wait(self._interval):
            self._sample()

    def progress(self, name: str) -> float:
        """Payload received by now as a share of the file; above 1 where bytes came twice."""
        return (self._received(name) - self._base[name]) / self._size

    def total(self) -> int:
        """Payload bytes that all peers have received by the latest sample."""
        return sum(rx[-1] for rx in self._rx.values() if rx)

    def finish(self) -> None:
        if self._t0 is not None and not self._end.is_set():
            self._end.set()
            self.join()
            self._sample()
        for fd in (self._stat, *(fd for fds in self._ports.values() for fd in fds)):
            os.close(fd)

    def cpu(self) -> Dict[str, float]:
        return shares(self._cpu)

    def curves(self) -> Dict[str, Any]:
        """Times and, for every peer, payload bytes received by then."""
        return {"times": [round(t, 4) for t in self._times],
                "received": self._rx}
