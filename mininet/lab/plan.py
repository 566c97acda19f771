"""What a sweep consists of: points, runs, their order, and how long it may take. Pure."""

import random
from dataclasses import asdict, dataclass, fields
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import units

RATES = ("uplinks", "links", "origins")  # what a point has a rate a host of
EVENTS = ("kill", "freeze", "join")      # what happens to some peers in the middle of a run


@dataclass(frozen=True)
class Point:
    """One experiment. Peers are numbered from 0 and live on hosts h2, h3, ...; h1 is the origin, and o2, o3, ... are
    further ones.

    Rates are in Mbit/s. Without `bw`, links have no rate: they are as fast as the machine.
    """
    system: str
    peers: int
    size: int
    bw: Optional[float]
    uplinks: Optional[Tuple[float, ...]] = None
    links: Optional[Tuple[float, ...]] = None
    origins: Optional[Tuple[float, ...]] = None
    seeder: Optional[float] = None  # the uplink of one more host, which has the file before
    kill: Optional[units.Event] = None
    freeze: Optional[units.Event] = None
    join: Optional[units.Event] = None
    hostile: Optional[units.Hostile] = None
    topology: str = "star"
    trunk: Optional[float] = None
    cc: Optional[str] = None
    switch: str = "bridge"
    queue_ms: Optional[float] = None
    delay_ms: float = 0.0
    loss: float = 0.0

    def origin_rates(self) -> List[Optional[float]]:
        return list(self.origins) if self.origins else [self.bw]

    def others(self) -> int:
        """How many hosts there are besides the peers, the first origin and the tracker."""
        return len(self.origin_rates()) - 1 + bool(self.seeder) + self.intruders()

    def intruders(self) -> int:
        """How many hosts of hostile members."""
        return self.hostile.hosts() if self.hostile else 0

    def peer_uplinks(self) -> List[Optional[float]]:
        return list(self.uplinks) if self.uplinks else self.peer_downlinks()

    def peer_downlinks(self) -> List[Optional[float]]:
        return list(self.links) if self.links else [self.bw] * self.peers

    def fast(self) -> List[int]:
        """The peers with the fastest links among those that are to have the file; none where all are alike."""
        rates = {i: rate for i, rate in enumerate(self.links or ()) if i not in self.gone()}
        most = max(rates.values(), default=0.0)
        return [i for i, rate in rates.items() if rate == most] if len(set(rates.values())) > 1 else []

    def rack(self, peer: int) -> int:
        """Racks are 1 and 2; the second half of the peers is in rack 2."""
        return 2 if self.topology == "two-racks" and peer >= self.peers // 2 else 1

    def victims(self) -> List[int]:
        """The first peers are killed, ..."""
        return list(range(self.kill.peers)) if self.kill else []

    def frozen(self) -> List[int]:
        """... the next ones are stopped and never go on, ..."""
        first = len(self.victims())
        return list(range(first, first + self.freeze.peers)) if self.freeze else []

    def gone(self) -> List[int]:
        """Those that are not to have the file."""
        return self.victims() + self.frozen()

    def latecomers(self) -> List[int]:
        """... and the last ones join late."""
        return list(range(self.peers - self.join.peers, self.peers)) if self.join else []

    def network(self) -> Tuple[Any, ...]:
        """What the emulated network depends on: points that agree in it can share one."""
        return (self.peers, self.bw, self.uplinks, self.links, self.origins, self.seeder, self.intruders(),
                self.topology, self.trunk,
                self.cc, self.switch, self.queue_ms, self.delay_ms, self.loss)

    def scenario(self) -> str:
        """What is unusual, in words: '' for the plain star."""
        words = []
        if self.topology != "star":
            words.append(f"{self.topology}, trunk {self.trunk:g} Mbit/s")
        if self.uplinks:
            words.append("uplinks " + compress(self.uplinks))
        if self.links:
            words.append("links " + compress(self.links))
        if self.origins:
            words.append("origins " + compress(self.origins))
        if self.seeder:
            words.append(f"seeder {self.seeder:g} Mbit/s")
        if self.kill:
            words.append(f"kill {self.kill}")
        if self.freeze:
            words.append(f"freeze {self.freeze}")
        if self.join:
            words.append(f"join {self.join}")
        if self.hostile:
            words.append(f"hostile {self.hostile}")
        if self.queue_ms:
            words.append(f"queues of {self.queue_ms:g} ms")
        if self.delay_ms:
            words.append(f"delay {self.delay_ms:g} ms")
        if self.loss:
            words.append(f"loss {self.loss:g} %")
        if self.cc:
            words.append(self.cc)
        if self.switch != "bridge":
            words.append(self.switch)
        return "; ".join(words)

    def as_dict(self) -> Dict[str, Any]:
        d = asdict(self)
        for k in RATES:
            d[k] = list(d[k]) if d[k] else None
        for k in EVENTS:
            d[k] = str(getattr(self, k)) if getattr(self, k) else None
        d["hostile"] = str(self.hostile) if self.hostile else None
        d["scenario"] = self.scenario()
        return d

    @classmethod
    def from_dict(cls, d: Dict[str, Any]) -> "Point":
        if d.get("corrupt"):  # what earlier versions called it
            d = {"hostile": f"liar:{d['corrupt']}", **d}
        known = {f.name for f in fields(cls)}
        d = {k: v for k, v in d.items() if k in known}
        for k in RATES:
            d[k] = tuple(d[k]) if d.get(k) else None
        for k in EVENTS:
            d[k] = units.event(d[k]) if d.get(k) else None
        d["hostile"] = units.hostile(d["hostile"]) if d.get("hostile") else None
        return cls(**d)


@dataclass(frozen=True)
class Run:
    """One repetition of a point."""
    point: Point
    repeat: int

    @property
    def key(self) -> str:
        """Names the run in files and lets --resume find it; the same in every session."""
        p = self.point
        parts = [p.system, f"n{p.peers}", f"{p.size}B", "norate" if p.bw is None else f"{p.bw:.15g}M"]
        if p.uplinks:
            parts.append("up" + compress(p.uplinks).replace(",", "_"))
        if p.links:
            parts.append("links" + compress(p.links).replace(",", "_"))
        if p.origins:
            parts.append("origins" + compress(p.origins).replace(",", "_"))
        if p.seeder:
            parts.append(f"seeder{p.seeder:.15g}M")
        for name in EVENTS:
            event = getattr(p, name)
            if event:
                parts.append(f"{name}{event.peers}at{event.at * 100:.15g}")
        if p.hostile:  # liars have the name that they had before there were others
            parts.append(f"{'corrupt' if p.hostile.kind == 'liar' else p.hostile.kind}{p.hostile.count}")
        if p.topology != "star":
            parts.append(f"{p.topology}{p.trunk:.15g}M")
        if p.queue_ms:
            parts.append(f"queue{p.queue_ms:.15g}ms")
        if p.delay_ms:
            parts.append(f"delay{p.delay_ms:.15g}ms")
        if p.loss:
            parts.append(f"loss{p.loss:.15g}")
        if p.cc:
            parts.append(p.cc)
        if p.switch != "bridge":
            parts.append(p.switch)
        return "-".join(parts + [f"r{self.repeat}"])

    def title(self) -> str:
        """For a person who watches."""
        p = self.point
        return (f"{p.system}, {units.counted(p.peers, 'peer')}, {units.human_size(p.size)}, {units.human_rate(p.bw)}, "
                f"#{self.repeat}")


def compress(rates: Tuple[float, ...]) -> str:
    """[100, 100, 20] -> '100x2,20x1'."""
    out: List[List[float]] = []
    for r in rates:
        if out and out[-1][0] == r:
            out[-1][1] += 1
        else:
            out.append([r, 1])
    return ",".join(f"{r:.15g}x{n:.15g}" for r, n in out)


def runs(points: List[Point], repeat: int, seed: int) -> List[List[Run]]:
    """The order of a sweep, drawn by chance from the seed: groups of runs that share a network.

    All points are measured once before any is measured again, each time in another order. So
    a machine that is slow for some minutes, or slower by the hour, hurts one repetition of many
    points, not all of one, and no system always runs after the same other.
    """
    chance = random.Random(seed)
    out = []
    for r in range(1, repeat + 1):
        groups: Dict[Tuple[Any, ...], List[Run]] = {}
        for p in points:
            groups.setdefault(p.network(), []).append(Run(p, r))
        for group in groups.values():
            chance.shuffle(group)
        order = list(groups.values())
        chance.shuffle(order)
        out += order
    return out


class Eta:
    """How long the rest takes: the bound times what the system needed of it so far, plus upkeep."""
    GUESS = {"direct": 1.02, "nginx": 1.02, "static": 1.4, "static-one": 1.8, "swarm": 1.15,
             "aria2": 3.5, "libtorrent": 2.5}
    UPKEEP = 2.5  # seconds, until the first run has told

    def __init__(self, bound_of: Callable[[Run], Optional[float]]):
        self._bound_of = bound_of  # run -> seconds
        self._ratios: Dict[str, List[float]] = {}   # system -> [measured / bound]
        self._upkeep: List[float] = []

    def done(self, run: Run, measured: Optional[float], wall: float) -> None:
        bound = self._bound_of(run)
        if measured is None:
            return  # a failure, which may have taken as long as it is allowed to
        if bound:
            self._ratios.setdefault(run.point.system, []).append(measured / bound)
        self._upkeep.append(max(0.0, wall - measured))

    def rest(self, todo: List[Run]) -> float:
        upkeep = sum(self._upkeep) / len(self._upkeep) if self._upkeep else self.UPKEEP
        total = 0.0
        for run in todo:
            seen = self._ratios.get(run.point.system)
            ratio = sum(seen) / len(seen) if seen else self.GUESS.get(run.point.system, 2.0)
            total += (self._bound_of(run) or 1.0) * ratio + upkeep
        return total
