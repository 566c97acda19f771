"""One run: a point, once, on a running network. Measures; never hangs; leaves nothing behind."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type

from . import bound, guard, line, topology, units
from .plan import Point, Run
from .procs import Procs
from .systems import Bench, Finish, System, same

FAITH = 0.95     # of the bound: what comes sooner has not come over the links
UNSHAPED = 20e6  # bytes per second: slower than any machine carries, where links have no rate
Counters = Dict[str, Dict[str, int]]


class Outcome:
    """What became of one peer. Moments are in seconds after the common start."""

    def __init__(self, host: topology.Host, role: str):
        self.host, self.role = host, role   # role: peer, late, killed or frozen
        self.started = 0.0                  # when its time begins: late for a latecomer
        self.asked: Optional[float] = None  # when it was told to start
        self.seconds: Optional[float] = None  # from its own start, as the driver sees it
        self.finish: Optional[Finish] = None
        self.error: Optional[str] = None
        self.verified = False
        self.gone: Optional[Tuple[float, float]] = None  # when it was killed or frozen, and what share it had
        self.joined: Optional[Tuple[float, float]] = None  # when, and what share the others had

    def expected(self) -> bool:
        """Whether it is to have the file."""
        return self.role in ("peer", "late")

    def ended(self) -> Optional[float]:
        return None if self.seconds is None else self.started + self.seconds


class Runner:
    """Holds what one run needs; `go` returns its record."""

    def __init__(self, run: Run, system_class: Type[System], net: topology.Network, file: str, data_dir: str,
                 log_dir: str, repo: str, linger: float = 0.0, beat: Callable[[str], None] = lambda _: None):
        self.run, self.point, self.net = run, run.point, net
        self.kind = system_class.kind
        self.procs = Procs(log_dir, data_dir)
        self.bench = Bench(run.point, net, self.procs, data_dir, file, repo)
        self.system = system_class(self.bench)
        self.limit = time_limit(run, self.kind)
        self.linger = linger
        self._beat = beat
        self._t0 = 0.0

    def go(self) -> Dict[str, Any]:
        os.makedirs(self.bench.data_dir)
        load = os.getloadavg()[0]
        try:
            self._beat(f"{self.run.title()}, starting its programs")
            self.system.setup()
            outcomes = self._outcomes()
            early = [o for o in outcomes if o.role != "late"]
            with ThreadPoolExecutor(max_workers=16) as pool:
                list(pool.map(lambda o: self._ready(o.host), early))
            return {**self._measure(outcomes), "load": round(load, 2)}
        finally:
            self._beat("")
            self.procs.stop()
            self.net.empty()
            self.bench.wipe()

    def _ready(self, host: topology.Host) -> None:
        self.system.ready(host)
        self._beat(f"{self.run.title()}, starting its programs, {host.name} done")

    def _outcomes(self) -> List[Outcome]:
        roles = {**dict.fromkeys(self.point.victims(), "killed"), **dict.fromkeys(self.point.frozen(), "frozen"),
                 **dict.fromkeys(self.point.latecomers(), "late")}
        return [Outcome(h, roles.get(i, "peer")) for i, h in enumerate(self.bench.peers)]

    def _measure(self, outcomes: List[Outcome]) -> Dict[str, Any]:
        hosts = [*self.bench.origins, self.bench.tracker, *self.bench.peers, *self.bench.intruders]
        hosts += [self.bench.seeder] if self.bench.seeder else []
        interval = min(1.0, max(0.05, (bound.for_point(self.point, self.kind) or 0.0) / 100))
        before, drops, switching = counters(hosts), self.net.dropped(), self.net.switch_cpu()
        self.net.line()
        cpu_before = self.procs.cpu()
        early = [o for o in outcomes if o.role != "late"]
        watch = guard.Watch(self.bench.peers, self.point.size, interval)
        try:
            barrier = threading.Barrier(len(early) + 1, action=self._common_start)
            threads = {o: self._spawn(o, barrier) for o in early}
            watch.begin(time.monotonic())
            barrier.wait(30)
            threads.update(self._events(outcomes, watch, threads))
            self._join({o: t for o, t in threads.items() if o.expected()}, watch)
        finally:
            watch.finish()
        switching = (self.net.switch_cpu() - switching) / self._since_start()
        cpu = {k: v - cpu_before.get(k, 0.0) for k, v in self.procs.cpu().items()}
        after, carried = counters(hosts), self.net.line()
        dropped = self.net.dropped() - drops
        for o in outcomes:
            self._verify(o)
        sent = self._origin_bytes()
        time.sleep(self.linger)
        return self._record(outcomes, watch, cpu, before, after, sent, dropped, carried, switching)

    def _join(self, threads: Dict[Outcome, threading.Thread], watch: guard.Watch) -> None:
        """Waits for all to end, or for the time limit, and tells of progress meanwhile."""
        seen: Tuple[int, int] = (-1, -1)
        for thread in threads.values():
            while thread.is_alive() and time.monotonic() < self._t0 + self.limit + 5:
                thread.join(0.5)
                done = sum(not t.is_alive() for t in threads.values())
                now = (done, watch.total() // (1 << 16))  # less than 64 KiB is announcing, not progress
                if now != seen:
                    seen = now
                    self._beat(f"{self.run.title()}, {done} of {len(threads)} peers are done; it is given up "
                               f"after {units.human_time(self.limit)}")

    def _common_start(self) -> None:
        self._t0 = time.monotonic()

    def _since_start(self) -> float:
        return time.monotonic() - self._t0

    def _spawn(self, outcome: Outcome, barrier: Optional[threading.Barrier] = None) -> threading.Thread:
        t = threading.Thread(target=self._download, args=(outcome, barrier), daemon=True)
        t.start()
        return t

    def _download(self, o: Outcome, barrier: Optional[threading.Barrier]) -> None:
        """The life of one peer. Whatever goes wrong is its outcome, not the sweep's end."""
        try:
            if barrier:
                barrier.wait(30)
            else:
                self.system.ready(o.host)
                o.started = self._since_start()
            self.system.start(o.host)
            o.asked = self._since_start()
            finish = self.system.wait(o.host, self._t0 + self.limit)
            o.seconds = (finish.at or time.monotonic()) - self._t0 - o.started
            o.finish = finish
        except Exception as e:  # noqa: B902 - any failure of a system under test is a result
            o.error = f"{o.host.name}: {e}" if str(e) else f"{o.host.name}: {type(e).__name__}"

    def _events(self, outcomes: List[Outcome], watch: guard.Watch,
                threads: Dict[Outcome, threading.Thread]) -> Dict[Outcome, threading.Thread]:
        """Kill, freeze and let join when it is time; returns the latecomers' threads."""
        doomed = [o for o in outcomes if o.role in ("killed", "frozen")]
        late = [o for o in outcomes if o.role == "late"]
        early = [o for o in outcomes if o.role == "peer"]
        added: Dict[Outcome, threading.Thread] = {}
        while (doomed or late) and self._since_start() < self.limit:
            doomed = [o for o in doomed if not self._strike(o, watch.progress(o.host.name))]
            if late and self.point.join:
                mean = sum(watch.progress(o.host.name) for o in early) / len(early)
                if mean >= self.point.join.at:
                    for o in late:
                        o.joined = (self._since_start(), mean)
                        added[o] = self._spawn(o)
                    late = []
            if not any(t.is_alive() for t in threads.values()):
                break  # all ended before it was time
            time.sleep(0.005)
        return added

    def _strike(self, o: Outcome, share: float) -> bool:
        """Kills or freezes a peer once it has the share of the file that it is to have then."""
        event = self.point.kill if o.role == "killed" else self.point.freeze
        if not event or share < event.at:
            return False
        self.procs.kill(o.host) if o.role == "killed" else self.procs.freeze(o.host)
        o.gone = (self._since_start(), share)
        return True

    def _verify(self, o: Outcome) -> None:
        """Believe no one: compare what is on the disk with what the origin offered."""
        if not o.finish or not o.expected():
            return
        try:
            o.verified = same(o.finish.path, self.bench.file)
            if not o.verified:
                o.error = f"{o.host.name}: the file differs from the origin's"
        except OSError as e:
            o.error = f"{o.host.name}: {e}"

    def _origin_bytes(self) -> Optional[int]:
        try:
            return self.system.origin_bytes()
        except Exception:  # noqa: B902 - the link's counter is there instead
            return None

    def _record(self, outcomes: List[Outcome], watch: guard.Watch, cpu: Dict[Tuple[str, str], float],
                before: Counters, after: Counters, sent: Optional[int], dropped: int,
                carried: Optional[Dict[str, Any]], switching: float) -> Dict[str, Any]:
        p = self.point
        delta = {n: {k: after[n][k] - before[n][k] for k in after[n]} for n in after}
        link = sum(topology.payload(delta[h.name]["tx_bytes"], delta[h.name]["tx_packets"])
                   for h in self.bench.origins)
        for d in delta.values():
            d["received_payload"] = topology.payload(d["rx_bytes"], d["rx_packets"])
            d["sent_payload"] = topology.payload(d["tx_bytes"], d["tx_packets"])
        deeds = {h.name: self.system.deeds(h) for h in self.bench.intruders}
        expected = [o for o in outcomes if o.expected()]
        done = [o for o in expected if o.verified]
        error = failure(expected, done) or missed(outcomes, p.hostile.kind if p.hostile else "", deeds)
        ends = [t for t in (o.ended() for o in done) if t is not None]
        late = [o.started for o in done if o.role == "late"]
        limit = bound.for_point(p, self.kind, max(late) if late else None)
        error = error or too_fast(max(ends, default=0.0), limit)
        took = max(ends) if ends and not error else None
        seen, seeder = watch.cpu(), self.bench.seeder
        asked = [o.asked - o.started for o in outcomes if o.asked is not None]
        return {
            "status": "failed" if error else "ok", "error": error,
            "bound_seconds": limit,
            "mean_bound_seconds": bound.mean_for_point(p, self.kind),
            "distribution_seconds": took,
            "fast_seconds": None if error else fastest(p, outcomes),
            "mean_seconds": None if error else sum(o.seconds or 0.0 for o in done) / len(done),
            "ratio": took / limit if took and limit else None,
            "available": len(done), "expected": len(expected),
            "start_skew_seconds": round(max(asked) - min(asked), 6) if asked else None,
            "peers": [{**self._peer(o), "cpu_seconds": host_cpu(cpu, o.host), **delta[o.host.name]}
                      for o in outcomes],
            "origin": {"sent_bytes": int(sent if sent is not None else link),
                       "sent_source": "system" if sent is not None else "link",
                       "cpu_seconds": host_cpu(cpu, self.bench.origin), **delta["h1"]},
            "more_origins": [{"host": h.name, "cpu_seconds": host_cpu(cpu, h), **delta[h.name]}
                             for h in self.bench.origins[1:]],
            "tracker": {"cpu_seconds": host_cpu(cpu, self.bench.tracker), **delta["tracker"]},
            "seeder": {"host": seeder.name, "cpu_seconds": host_cpu(cpu, seeder), **delta[seeder.name]}
            if seeder else None,
            "hostile": [{"host": h.name, "deeds": deeds[h.name], "cpu_seconds": host_cpu(cpu, h), **delta[h.name]}
                        for h in self.bench.intruders],
            "retransmits": sum(d["retransmits"] for d in delta.values()),
            "queue": {**self.net.queue(), "dropped": dropped},
            "buffers": {"rmem": topology.BUFFERS, "wmem": topology.BUFFERS},
            "line": carried,
            "cpu": {**machine(seen, sum(cpu.values()), len(done) * p.size),
                    "exhausted": disturbed(seen, carried, switching) if p.bw else None},
            "curves": watch.curves(),
        }

    @staticmethod
    def _peer(o: Outcome) -> Dict[str, Any]:
        nothing = (None, None)
        killed = (o.gone if o.role == "killed" else None) or nothing
        frozen = (o.gone if o.role == "frozen" else None) or nothing
        joined = o.joined or nothing
        return {"host": o.host.name, "role": o.role, "verified": o.verified, "error": o.error,
                "started": round(o.started, 6), "asked": o.asked, "driver_seconds": o.seconds,
                "daemon_seconds": o.finish.seconds if o.finish else None,
                "bytes_from_origin": o.finish.from_origin if o.finish else None,
                "bytes_from_peers": o.finish.from_peers if o.finish else None,
                "killed_at_seconds": killed[0], "killed_share": killed[1],
                "frozen_at_seconds": frozen[0], "frozen_share": frozen[1],
                "joined_at_seconds": joined[0], "joined_share": joined[1]}


def time_limit(run: Run, kind: str) -> float:
    """Seconds after which a run is given up."""
    least = bound.for_point(run.point, kind)
    return 20 * least + 30 if least else 60 + run.point.peers * run.point.size / UNSHAPED


def failure(expected: Sequence[Outcome], done: Sequence[Outcome]) -> Optional[str]:
    """Why not all of them have the file, or None."""
    if len(done) == len(expected):
        return None
    return "; ".join(o.error for o in expected if o.error) or "not complete in time"


def fastest(point: Point, outcomes: Sequence[Outcome]) -> Optional[float]:
    """When the last of the peers with the fastest links had the file, from the common start; None where links are
    alike. Slow members may take long, but are not to hold up the others."""
    ends = [outcomes[i].ended() for i in point.fast()]
    return max((t for t in ends if t is not None), default=None)


def too_fast(seconds: float, least: Optional[float]) -> Optional[str]:
    """What to say of a file that cannot have come over the links, or None. All hosts see one another's files. Pure."""
    if least and seconds < FAITH * least:
        return f"complete after {seconds:.2f} s, but the links need {least:.2f} s: bytes must have come another way"
    return None


def missed(outcomes: Sequence[Outcome], kind: str, deeds: Dict[str, int]) -> Optional[str]:
    """Why the scenario did not happen, or None: a run without its kill is no run with a kill."""
    for o in (o for o in outcomes if not o.expected()):
        ended = o.ended()
        if not o.gone:
            return f"{o.host.name} was not {o.role}: the transfer ended before it was time"
        if ended is not None:
            return (f"{o.host.name} was not {o.role} in its transfer: it had the file after {ended:.2f} s, "
                    f"and was {o.role} after {o.gone[0]:.2f} s ({o.gone[1] * 100:.0f} %)")
    early = [t for t in (o.ended() for o in outcomes if o.role == "peer") if t is not None]
    for o in (o for o in outcomes if o.role == "late"):
        if not o.joined:
            return f"{o.host.name} did not join: the transfer ended before it was time"
        if early and max(early) < o.started:
            return (f"{o.host.name} came too late: it joined after {o.started:.2f} s, when the others "
                    f"had been done since {max(early):.2f} s")
    for name in (name for name, count in deeds.items() if not count):
        return (f"{name} did not lie: nobody asked it for anything" if kind == "liar" else
                f"{name}, which is to be a {kind}, had no session with anyone")
    return None


def machine(seen: Dict[str, float], daemons: float, delivered: int) -> Dict[str, Any]:
    """What processors did."""
    return {"daemon_seconds": daemons,
            "daemon_seconds_per_gib": daemons / (delivered / (1 << 30)) if delivered else None,
            "machine_seconds": seen["seconds"], "busy": seen["busy"],
            "busy_max": seen["busy_max"], "full_windows": seen["full_windows"],
            "softirq": seen["softirq"], "steal": seen["steal"]}


def disturbed(seen: Dict[str, float], carried: Optional[Dict[str, Any]], switching: float) -> Optional[str]:
    """Why what was measured is the emulation and not the network, or None. Not asked of links without a
    rate, which are meant to be as fast as the machine."""
    why = guard.verdict(seen)
    if not why and carried:
        why = line.doubts(carried)
    if not why and switching > guard.BUSY_MEAN:
        why = f"the one thread of Open vSwitch {switching * 100:.0f} % busy"
    return why


def counters(hosts: Sequence[topology.Host]) -> Counters:
    return {h.name: {**h.traffic(), "retransmits": h.retransmits()} for h in hosts}


def host_cpu(cpu: Dict[Tuple[str, str], float], host: topology.Host) -> float:
    return round(sum(v for (name, _), v in cpu.items() if name == host.name), 3)
