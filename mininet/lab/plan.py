"""What a sweep consists of: points, runs, their order, and how long it may take. Pure."""

from dataclasses import asdict, dataclass
from typing import Optional, Tuple

from . import units


@dataclass(frozen=True)
class Point:
    """One experiment. Peers are numbered from 0 and live on hosts h2, h3, ...; h1 is the origin."""
    system: str
    peers: int
    size: int
    bw: float
    uplinks: Optional[Tuple[float, ...]] = None
    kill: Optional[units.Event] = None
    join: Optional[units.Event] = None
    corrupt: int = 0
    topology: str = "star"
    trunk: Optional[float] = None
    cc: Optional[str] = None
    switch: str = "bridge"

    def peer_uplinks(self):
        return list(self.uplinks) if self.uplinks else [self.bw] * self.peers

    def rack(self, peer):
        """Racks are 1 and 2; the second half of the peers is in rack 2."""
        return 2 if self.topology == "two-racks" and peer >= self.peers // 2 else 1

    def victims(self):
        """The first peers are killed ..."""
        return list(range(self.kill.peers)) if self.kill else []

    def latecomers(self):
        """... and the last ones join late."""
        return list(range(self.peers - self.join.peers, self.peers)) if self.join else []

    def network(self):
        """What the emulated network depends on: points that agree in it can share one."""
        return (self.peers, self.bw, self.uplinks, self.corrupt, self.topology,
                self.trunk, self.cc, self.switch)

    def scenario(self):
        """What is unusual, in words: '' for the plain star."""
        words = []
        if self.topology != "star":
            words.append(f"{self.topology}, trunk {self.trunk:g} Mbit/s")
        if self.uplinks:
            words.append("uplinks " + compress(self.uplinks))
        if self.kill:
            words.append(f"kill {self.kill}")
        if self.join:
            words.append(f"join {self.join}")
        if self.corrupt:
            words.append(f"{self.corrupt} lying")
        if self.cc:
            words.append(self.cc)
        if self.switch != "bridge":
            words.append(self.switch)
        return "; ".join(words)

    def as_dict(self):
        d = asdict(self)
        d["uplinks"] = list(self.uplinks) if self.uplinks else None
        d["kill"] = str(self.kill) if self.kill else None
        d["join"] = str(self.join) if self.join else None
        d["scenario"] = self.scenario()
        return d

    @classmethod
    def from_dict(cls, d):
        d = {k: v for k, v in d.items() if k != "scenario"}
        d["uplinks"] = tuple(d["uplinks"]) if d.get("uplinks") else None
        for k in ("kill", "join"):
            d[k] = units.event(d[k]) if d.get(k) else None
        return cls(**d)


@dataclass(frozen=True)
class Run:
    """One repetition of a point."""
    point: Point
    repeat: int

    @property
    def key(self):
        """Names the run in files and lets --resume find it; the same in every session."""
        p = self.point
        parts = [p.system, f"n{p.peers}", f"{p.size}B", f"{p.bw:g}M"]
        if p.uplinks:
            parts.append("up" + compress(p.uplinks).replace(",", "_"))
        if p.kill:
            parts.append(f"kill{p.kill.peers}at{p.kill.at * 100:g}")
        if p.join:
            parts.append(f"join{p.join.peers}at{p.join.at * 100:g}")
        if p.corrupt:
            parts.append(f"corrupt{p.corrupt}")
        if p.topology != "star":
            parts.append(f"{p.topology}{p.trunk:g}M")
        if p.cc:
            parts.append(p.cc)
        if p.switch != "bridge":
            parts.append(p.switch)
        return "-".join(parts + [f"r{self.repeat}"])


def compress(rates):
    """[100, 100, 20] -> '100x2,20x1'."""
    out = []
    for r in rates:
        if out and out[-1][0] == r:
            out[-1][1] += 1
        else:
            out.append([r, 1])
    return ",".join(f"{r:g}x{n}" for r, n in out)


def runs(points, repeat):
    """The order of a sweep, grouped by network so that one can be shared.

    Within a network, the systems take turns: a machine that slows down for a minute
    then hurts one repetition of each, not all repetitions of one.
    """
    groups = {}
    for p in points:
        groups.setdefault(p.network(), []).append(p)
    return [[Run(p, r) for r in range(1, repeat + 1) for p in group]
            for group in groups.values()]


class Eta:
    """How long the rest takes: the bound times what the system needed of it so far, plus upkeep."""
    GUESS = {"direct": 1.02, "nginx": 1.02, "static": 1.4, "swarm": 1.15,
             "aria2": 3.5, "libtorrent": 2.5}

    def __init__(self, bound_of):
        self._bound_of = bound_of  # run -> seconds
        self._ratios = {}          # system -> [measured / bound]
        self._upkeep = []

    def done(self, run, measured, wall):
        bound = self._bound_of(run)
        if measured is not None:
            self._ratios.setdefault(run.point.system, []).append(measured / bound)
        self._upkeep.append(max(0.0, wall - (measured or 0.0)))

    def rest(self, todo):
        upkeep = sum(self._upkeep) / len(self._upkeep) if self._upkeep else 2.0
        total = 0.0
        for run in todo:
            seen = self._ratios.get(run.point.system)
            ratio = sum(seen) / len(seen) if seen else self.GUESS.get(run.point.system, 2.0)
            total += self._bound_of(run) * ratio + upkeep
        return total
