"""Records of sweeps that nobody ran, for tests of tables and figures: plausible, and always the same."""

import dataclasses
import json
import os
import random

from lab import bound, plan, results, units

TITLES = {"direct": "fanout direct", "static": "fanout static", "static-one": "fanout static, one chunk per peer",
          "swarm": "fanout swarm", "nginx": "nginx + curl (does not verify)", "aria2": "aria2",
          "libtorrent": "libtorrent"}
CLIENT_SERVER = ("direct", "nginx")
# What a system takes of its bound, and how much that grows with the number of peers.
COST = {"direct": (1.015, 0.0), "nginx": (1.01, 0.0), "static": (1.06, 0.004), "static-one": (1.55, 0.03),
        "swarm": (1.05, 0.004), "aria2": (1.9, 0.045), "libtorrent": (1.5, 0.02)}
ENV = {"host": "labhost", "kernel": "6.1", "cpus": 2, "cpu_model": "Test", "memory_gib": 8,
       "congestion_control": "cubic", "versions": {"fanout": "abc1234", "Mininet": "2.3.0"}}
MIB = 1 << 20


def point(system="swarm", peers=2, size=10 * MIB, bw=100.0, **more):
    """A plan.Point; what this version of it does not know is left out."""
    known = {f.name for f in dataclasses.fields(plan.Point)}
    return plan.Point(system, peers, size, bw, **{k: v for k, v in more.items() if k in known})


def key(p, repeat):
    link = "none" if p.bw is None else f"{p.bw:g}M"
    what = "".join(f"-{name}" for name in ("kill", "join") if getattr(p, name))
    return f"{p.system}-n{p.peers}-{p.size}B-{link}{what}-r{repeat}"


def record(p, repeat=1, exhausted=None, status="ok", seconds=None, env=None, title=None, kind=None, **more):
    """A run of a point; `seconds` is the last peer's time, reckoned from the bound where it is not given."""
    rng = random.Random(key(p, repeat))
    kind = kind or ("client-server" if p.system in CLIENT_SERVER else "p2p")
    head = {"key": key(p, repeat), "repeat": repeat, "title": title or TITLES.get(p.system, p.system), "kind": kind,
            "point": p.as_dict(), "started_at": "2026-01-02T03:04:00.000+00:00",
            "ended_at": "2026-01-02T03:04:05.000+00:00", "seed": 7, "position": repeat, "load": 0.2,
            "status": status, "error": None, "env": env or ENV}
    if status != "ok":
        return {**head, "error": "network: no bridge", **more}
    last = seconds or typical(p, kind) * rng.gauss(1, 0.012)
    peers = [peer(p, i, last, rng) for i in range(p.peers)]
    there = [o for o in peers if o["verified"]]
    ends = [o["started"] + o["driver_seconds"] for o in there]
    late = [o["started"] for o in there if o["role"] == "late"]
    limit = bound.for_point(p, kind, max(late, default=None))
    gib = len(there) * p.size / (1 << 30)
    cpu = gib * (6 + 0.1 * p.peers) * rng.gauss(1, 0.03)
    copies = p.peers if kind == "client-server" else 1.03 + 0.01 * p.peers
    return {**head, "bound_seconds": limit, "mean_bound_seconds": bound.mean_for_point(p, kind),
            "distribution_seconds": max(ends), "mean_seconds": sum(o["driver_seconds"] for o in there) / len(there),
            "fast_seconds": max((ends[i] for i in p.fast()), default=None),
            "ratio": max(ends) / limit if limit else None, "available": len(there), "expected": len(there),
            "start_skew_seconds": 0.002, "buffers": {"rmem": "4096 131072 6291456", "wmem": "4096 16384 4194304"},
            "queue": {"limit_packets": 1000, "limit_bytes": None, "dropped": 3}, "retransmits": 12, "peers": peers,
            "origin": {"sent_bytes": int(copies * p.size), "sent_source": "system", **traffic(0, copies * p.size)},
            "tracker": traffic(0, 0),
            "cpu": {"daemon_seconds": cpu, "daemon_seconds_per_gib": cpu / gib, "machine_seconds": 2 * cpu,
                    "busy": 0.995 if exhausted else 0.4, "busy_max": 0.999, "full_windows": 0.0, "softirq": 0.05,
                    "steal": 0.0, "exhausted": exhausted}, **more}


def typical(p, kind):
    """About what a run takes, in seconds."""
    base, slope = COST.get(p.system, (1.3, 0.01))
    rate = bound.for_point(p, kind)
    if rate is None:  # the processor is the limit
        return p.size / 4e8 * base * (1 + 0.8 * p.peers)
    return rate * (base + slope * p.peers) + 0.01 * p.peers ** 0.5


def peer(p, i, last, rng):
    killed, late = i in p.victims(), i in p.latecomers()
    started = last * 0.55 if late else 0.0
    end = last if i == p.peers - 1 - len(p.latecomers()) else last * rng.uniform(0.9, 0.995)
    seconds = None if killed else last * 0.7 if late else end
    return {"host": f"h{i + 2}", "role": "killed" if killed else "late" if late else "peer", "verified": not killed,
            "error": None, "asked": started, "started": started, "driver_seconds": seconds,
            "daemon_seconds": None if killed else seconds - 0.01,
            "bytes_from_origin": p.size // p.peers, "bytes_from_peers": p.size - p.size // p.peers,
            "killed_at_seconds": last / 2 if killed else None, "killed_share": 0.5 if killed else None,
            "joined_at_seconds": started if late else None, "joined_share": 0.5 if late else None,
            **traffic(p.size, p.size * 0.9)}


def traffic(received, sent):
    return {"rx_bytes": int(received * 1.05), "tx_bytes": int(sent * 1.05), "rx_packets": int(received / 1448),
            "tx_packets": int(sent / 1448), "received_payload": int(received), "retransmits": 1, "cpu_seconds": 0.1}


def curves(rec):
    """What each peer of a run had received, over time."""
    last = rec["distribution_seconds"]
    times = [round(last * i / 60, 4) for i in range(64)]
    size = rec["point"]["size"]

    def has(p, t):
        end = p["driver_seconds"] or last
        at = min(t, p["killed_at_seconds"] or t) - p["started"]
        return int(size * 1.01 * min(1.0, max(0.0, at / end)) ** 1.15)
    return {"times": times, "received": {p["host"]: [has(p, t) for t in times] for p in rec["peers"]}}


def sweep(directory, points, repeat=5, axis="peers", exhausted=lambda p, r: None):
    """Writes results.jsonl and curves/ of a sweep into the directory; returns its config."""
    os.makedirs(os.path.join(directory, "curves"), exist_ok=True)
    for p in points:
        for r in range(1, repeat + 1):
            rec = record(p, r, exhausted(p, r))
            results.append(directory, rec)
            with open(os.path.join(directory, "curves", rec["key"] + ".json"), "w", encoding="ascii") as f:
                json.dump(curves(rec), f)
    return {"command": "sweep.py --synthetic", "seed": 7, "repeat": repeat, "axis": axis,
            "points": [p.as_dict() for p in points]}


def report(bandwidths=(100.0, None)):
    """The report's sweep: three strategies, 1 to 13 peers, with a rate and without."""
    return [point(s, n, bw=bw) for bw in bandwidths for s in ("direct", "static-one", "swarm") for n in range(1, 14)]


def rivals():
    return [point(s, n, 64 * MIB) for s in ("swarm", "nginx", "aria2", "libtorrent") for n in (1, 2, 4, 8, 16, 32)]


def coinciding():
    """static and swarm take the same."""
    return [point(s, n) for s in ("direct", "static", "swarm", "my-program", "other") for n in range(1, 14)]


def single(peers=8, **scenario):
    return [point(s, peers, 64 * MIB, **scenario) for s in ("direct", "static", "swarm", "aria2", "libtorrent")]


def kill():
    return [point(s, 8, 64 * MIB, kill=units.Event(1, 0.5)) for s in ("static", "swarm", "aria2")]


def join():
    return [point(s, 8, 64 * MIB, join=units.Event(2, 0.5)) for s in ("static", "swarm", "aria2")]


def regimes():
    return [point(s, n, size, bw) for size in (MIB, 4 * MIB, 64 * MIB) for bw in (5.0, 20.0, 100.0, None)
            for s in ("direct", "static", "swarm") for n in (1, 2, 4, 8, 16)]
