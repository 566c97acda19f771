"""The runs of a point taken together: medians with their intervals. Pure."""

import random
from dataclasses import replace
from functools import lru_cache
from statistics import median
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from . import bound, plan

Record = Dict[str, Any]
Config = Dict[str, Any]

DIRECT = "direct"  # fanout as client/server
RESAMPLES, CONFIDENCE = 2000, 0.95
TICKS = 0.2  # seconds; what is less is counted in too few of the kernel's ticks, of 0.01 s
FEW = 3      # undisturbed runs; an interval of fewer says little
WORSE = 1.02  # of direct's time: what is more is worse than client/server
SKEW = 0.05  # of a run's time between the first peer's start and the last one's: worth a note


@lru_cache(maxsize=4096)
def interval(values: Tuple[float, ...]) -> Tuple[float, float]:
    """The bootstrap 95 % interval of the median: percentiles of the medians of resamples (Efron, 1979).

    The same values always give the same interval. Of five values or fewer, one resample in
    twenty or more has its median at the smallest, so the interval goes from least to greatest.
    """
    rng = random.Random(1979)
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return medians[tail], medians[-tail - 1]


class Stat:
    """Median of some runs' values, and the 95 % interval of that median."""

    def __init__(self, values: Iterable[Optional[float]]) -> None:
        self.values = tuple(v for v in values if v is not None)
        self.n = len(self.values)
        self.median: Optional[float] = median(self.values) if self.values else None

    @property
    def low(self) -> Optional[float]:
        return interval(self.values)[0] if self.n > 1 else self.median

    @property
    def high(self) -> Optional[float]:
        return interval(self.values)[1] if self.n > 1 else self.median

    def text(self, fmt: str = "{:.2f}", spread: bool = True) -> str:
        if self.median is None:
            return "–"
        out = fmt.format(self.median)
        if spread and self.n > 1:
            out += f" ({fmt.format(self.low)}–{fmt.format(self.high)})"
        return out


class Row:
    """All runs of one point.

    Its medians are over the runs that succeeded and that the processors did not disturb; where
    all were disturbed, over these, and `disturbed` says that they measure the machine.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.point = plan.Point.from_dict(records[0]["point"])
        self.system: str = self.point.system
        self.title: str = records[0].get("title") or self.system
        self.kind: str = records[0]["kind"]
        self.ok = [r for r in records if r["status"] == "ok"]
        self.exhausted = [r for r in self.ok if r["cpu"]["exhausted"]]
        self.disturbed = bool(self.ok) and len(self.exhausted) == len(self.ok)
        self.used = self.ok if self.disturbed else [r for r in self.ok if not r["cpu"]["exhausted"]]
        self.few = len(self.ok) - len(self.exhausted) < FEW
        size = self.point.size
        self.bound = Stat(r.get("bound_seconds") for r in self.used or records)
        self.mean_bound = Stat(r.get("mean_bound_seconds") for r in self.used or records)
        self.mean = self._stat(lambda r: r["mean_seconds"])
        self.distribution = self._stat(lambda r: r["distribution_seconds"])
        self.fast = self._stat(lambda r: r.get("fast_seconds"))
        self.ratio = self._stat(lambda r: r["ratio"])
        self.daemon = self._stat(slowest_daemon)
        self.origin = self._stat(lambda r: r["origin"]["sent_bytes"] / size)
        self.received = self._stat(lambda r: received(r) / size)
        counted = all(r["cpu"]["daemon_seconds"] >= TICKS for r in self.used)
        self.cpu = self._stat(lambda r: r["cpu"]["daemon_seconds_per_gib"] if counted else None)
        self.busy = self._stat(lambda r: r["cpu"]["busy"])
        self.retransmits = self._stat(lambda r: r["retransmits"])
        self.direct: Optional[float] = None  # what `direct` took at the same point, in seconds, where it was measured
        self.available = sum(r.get("available", 0) for r in records)
        self.expected = sum(r.get("expected", self.point.peers) for r in records)

    def against_direct(self) -> Optional[float]:
        """Its distribution time divided by direct's, or by direct's bound, which direct cannot beat. Below 1, it is
        better than what client/server offers."""
        took = self.direct or bound.for_point(self.point, bound.CLIENT_SERVER)
        return self.distribution.median / took if took and self.distribution.median else None

    def worse_than_direct(self) -> bool:
        return (self.against_direct() or 0.0) > WORSE

    def _stat(self, of: Any) -> Stat:
        return Stat(of(r) for r in self.used)

    def availability(self) -> str:
        """'8/8 (100%)': peers with the whole file, of those expected to have it; a mean run where that is whole."""
        share = 100 * self.available / self.expected if self.expected else 0
        runs = len(self.records)
        n, m = self.available, self.expected
        if runs > 1 and n % runs == 0 and m % runs == 0:
            n, m = n // runs, m // runs
        return f"{n}/{m} ({share:.0f}%)" if share in (0, 100) else f"{n}/{m} ({share:.1f}%)"

    def notes(self) -> str:
        words = [self.point.scenario()] if self.point.scenario() else []
        if self.disturbed:
            words.append(f"all {len(self.ok)} disturbed" if len(self.ok) > 1 else "disturbed")
        elif self.exhausted:
            words.append(f"{len(self.exhausted)} of {len(self.ok)} disturbed, left out")
        skew = max(((r.get("start_skew_seconds") or 0.0) / r["distribution_seconds"] for r in self.used), default=0.0)
        if skew > SKEW:
            words.append(f"peers began up to {100 * skew:.0f} % of the time apart")
        if len(self.ok) < len(self.records):
            words.append(f"{len(self.records) - len(self.ok)} of {len(self.records)} failed")
        return "; ".join(words)


def slowest_daemon(record: Record) -> Optional[float]:
    """The last peer's time as the daemons report it, in seconds from the common start."""
    times = [p["started"] + p["daemon_seconds"] for p in record["peers"]
             if p["verified"] and p["daemon_seconds"] is not None]
    return max(times, default=None)


def received(record: Record) -> float:
    """Payload bytes that reached a peer with the whole file, on average: above F, some came twice."""
    seen = [p["received_payload"] for p in record["peers"] if p["verified"]]
    return sum(seen) / len(seen)


def link_order(mbit: Optional[float]) -> float:
    """Slow links before fast ones, links without a rate last."""
    return float("inf") if mbit is None else mbit


def rows(records: Sequence[Record], config: Optional[Config] = None) -> List[Row]:
    """One Row a point: by system as the sweep names them, then scenario, size, link and peers."""
    groups: Dict[plan.Point, List[Record]] = {}
    for r in records:
        groups.setdefault(plan.Point.from_dict(r["point"]), []).append(r)
    named = [p["system"] for p in (config or {}).get("points", ())] + [r["point"]["system"] for r in records]
    place = {name: i for i, name in enumerate(dict.fromkeys(named))}
    found = [Row(g) for g in groups.values()]
    direct = {r.point: r.distribution.median for r in found if r.system == DIRECT}
    for row in found:
        row.direct = direct.get(replace(row.point, system=DIRECT))
    return sorted(found,
                  key=lambda r: (place[r.system], r.point.scenario(), r.point.size,
                                 link_order(r.point.bw), r.point.peers))


def grouped(some: Sequence[Row]) -> List[List[Row]]:
    """Rows by system and scenario, in their order, each group by peers."""
    groups: Dict[Tuple[str, str], List[Row]] = {}
    for r in some:
        groups.setdefault((r.system, r.point.scenario()), []).append(r)
    return [sorted(g, key=lambda r: r.point.peers) for g in groups.values()]
