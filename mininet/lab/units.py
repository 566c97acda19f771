"""Sizes, rates, lists and scenario strings as people type them. Pure.

Every parser raises ValueError with a message that names what was expected.
"""

import re
from dataclasses import dataclass
from typing import Callable, Collection, List, Optional, Set, TypeVar

T = TypeVar("T")

_SIZE = {"B": 1,
         "K": 1 << 10, "KIB": 1 << 10, "KB": 10 ** 3,
         "M": 1 << 20, "MIB": 1 << 20, "MB": 10 ** 6,
         "G": 1 << 30, "GIB": 1 << 30, "GB": 10 ** 9}
MAX_RATE = 1000.0  # Mbit/s: Mininet silently ignores anything above


def size(text: str) -> int:
    """'10MiB' -> 10485760."""
    m = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)\s*", text)
    if not m or m[2].upper() not in _SIZE:
        raise ValueError(f"size {text!r}: expected a number and B, KiB, MiB or GiB, like 10MiB")
    n = int(float(m[1]) * _SIZE[m[2].upper()])
    if n < 1:
        raise ValueError(f"size {text!r}: must be at least one byte")
    return n


def rate(text: str) -> float:
    """'100' or '100Mbit' -> 100.0 (Mbit/s)."""
    m = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:M|Mbit|Mbit/s|Mbps)?\s*", text, re.I)
    if not m:
        raise ValueError(f"rate {text!r}: expected Mbit/s, like 100")
    value = float(m[1])
    if not 0.1 <= value <= MAX_RATE:
        raise ValueError(f"rate {text!r}: must be between 0.1 and {MAX_RATE:g} Mbit/s")
    return value


def link(text: str) -> Optional[float]:
    """'100' -> 100.0 (Mbit/s); 'none' -> None, a link without a rate."""
    return None if text.strip().lower() == "none" else rate(text)


def each(text: str, parse: Callable[[str], T]) -> List[T]:
    """'1MiB,4MiB' -> [parse('1MiB'), parse('4MiB')], each once."""
    return list(dict.fromkeys(parse(part) for part in text.split(",")))


def milliseconds(text: str, most: float = 10_000) -> float:
    """'50ms' or '0.05s' -> 50.0; at most so many."""
    m = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s)\s*", text)
    if not m:
        raise ValueError(f"time {text!r}: expected ms or s, like 50ms")
    value = float(m[1]) * (1000 if m[2] == "s" else 1)
    if not 0.001 <= value <= most:
        raise ValueError(f"time {text!r}: must be at least 0.001ms and at most {most / 1000:g}s")
    return value


def percent(text: str) -> float:
    """'1%' or '0.5%' -> 1.0, 0.5."""
    m = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", text)
    if not m or not 0.0001 <= float(m[1]) < 100:
        raise ValueError(f"{text!r}: expected a percentage from 0.0001% to below 100%, like 1%")
    return float(m[1])


def count(text: str, what: str, least: int, most: int) -> int:
    """'5' -> 5; `what` names it in the error."""
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{what} {text!r}: expected a number from {least} to {most}")
    return int(text)


def counts(text: str, least: int = 1) -> List[int]:
    """'2-5,8' -> [2, 3, 4, 5, 8], sorted, each once."""
    found: Set[int] = set()
    for part in text.split(","):
        m = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not m:
            raise ValueError(f"list {text!r}: expected numbers and ranges, like 1,2,4 or 2-14")
        low, high = int(m[1]), int(m[2] or m[1])
        if low > high:
            raise ValueError(f"list {text!r}: the range {part.strip()} runs backwards")
        if high > 100_000:
            raise ValueError(f"list {text!r}: {high} is more than any machine can hold")
        found.update(range(low, high + 1))
    if min(found) < least:
        raise ValueError(f"list {text!r}: the smallest allowed is {least}")
    return sorted(found)


def names(text: str, known: Collection[str], what: str) -> List[str]:
    """'swarm,nginx' -> ['swarm', 'nginx'], each of them known, each once."""
    found: List[str] = []
    for part in (p.strip() for p in text.split(",")):
        if part not in known:
            raise ValueError(f"unknown {what} {part!r}; known are {', '.join(known)}")
        if part not in found:
            found.append(part)
    return found


def rates(text: str, what: str) -> List[float]:
    """'100x4,20x4' -> [100.0]*4 + [20.0]*4, one rate a host; `what` names them in the error."""
    found: List[float] = []
    for part in text.split(","):
        value, x, times = part.partition("x")
        if x and not re.fullmatch(r"\s*[1-9]\d{0,4}\s*", times):
            raise ValueError(f"{what} {text!r}: expected RATExHOSTS, like 100x4,20x4")
        found += [rate(value)] * int(times or 1)
    return found


@dataclass(frozen=True)
class Event:
    """So many peers are affected once the download is so far: '1@50%'."""
    peers: int
    at: float

    def __str__(self) -> str:
        return f"{self.peers}@{self.at * 100:g}%"


def event(text: str) -> Event:
    """'1@50%' -> Event(1, 0.5)."""
    m = re.fullmatch(r"\s*([1-9]\d{0,4})@(\d+(?:\.\d+)?)%\s*", text)
    if not m or not 0 < float(m[2]) < 100:
        raise ValueError(f"{text!r}: expected PEERS@PERCENT with 0 < percent < 100, like 1@50%")
    return Event(int(m[1]), float(m[2]) / 100)


HOSTILE = ("liar", "mute", "idle", "drip", "claimer")


@dataclass(frozen=True)
class Hostile:
    """So many hostile members of a kind: 'mute:20'."""
    kind: str
    count: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.count}"

    def hosts(self) -> int:
        """Who is listed as a peer needs an address of its own; of the others one host has as many sessions with every
        daemon."""
        return self.count if self.kind in ("liar", "claimer") else 1


def hostile(text: str) -> Hostile:
    """'liar:2' -> Hostile('liar', 2)."""
    kind, _, number = text.partition(":")
    if kind not in HOSTILE:
        raise ValueError(f"--hostile {text!r}: expected KIND:N, with a kind of {', '.join(HOSTILE)}, like liar:1")
    return Hostile(kind, count(number, f"--hostile {kind}", 1, 200))


def human_size(n: int) -> str:
    """10485760 -> '10 MiB'."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if n >= unit:
            return f"{n / unit:g} {name}" if n % unit == 0 else f"{n / unit:.1f} {name}"
    return f"{n} B"


def human_rate(mbit: Optional[float]) -> str:
    """100.0 -> '100 Mbit/s'; None -> 'no rate'."""
    return "no rate" if mbit is None else f"{mbit:g} Mbit/s"


def counted(n: int, what: str) -> str:
    """(1, 'peer') -> '1 peer', (2, 'peer') -> '2 peers'."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def human_time(seconds: float) -> str:
    """95 -> '1m35s'."""
    s = int(round(seconds))
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m{s % 60:02d}s"
    return f"{s // 3600}h{s % 3600 // 60:02d}m"
