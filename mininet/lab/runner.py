"""One run: a point, once, on a running network. Measures; never hangs; leaves nothing behind."""

import filecmp
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import bound, guard, topology
from .procs import Procs
from .systems import Bench


class Outcome:
    """What became of one peer."""

    def __init__(self, host, role):
        self.host, self.role = host, role   # role: peer, late or killed
        self.started = 0.0                  # after the common start
        self.seconds = None                 # from its own start, as the driver sees it
        self.finish = None
        self.error = None
        self.verified = False


class Runner:
    """Holds what one run needs; `go` returns its record."""

    def __init__(self, run, system_class, net, file, data_dir, log_dir, repo, linger=0.0):
        self.run, self.point, self.net = run, run.point, net
        self.kind = system_class.kind
        self.procs = Procs(log_dir, data_dir)
        self.bench = Bench(run.point, net, self.procs, data_dir, file, repo)
        self.system = system_class(self.bench)
        self.limit = 20 * bound.for_point(run.point, self.kind) + 30
        self.linger = linger
        self._t0 = None

    def go(self):
        os.makedirs(self.bench.data_dir)
        try:
            self.system.setup()
            outcomes = self._outcomes()
            early = [o for o in outcomes if o.role != "late"]
            with ThreadPoolExecutor(max_workers=16) as pool:
                list(pool.map(lambda o: self.system.ready(o.host), early))
            return self._measure(outcomes)
        finally:
            self.procs.stop()
            self.bench.wipe()

    def _outcomes(self):
        killed, late = set(self.point.victims()), set(self.point.latecomers())
        return [Outcome(h, "killed" if i in killed else "late" if i in late else "peer")
                for i, h in enumerate(self.bench.peers)]

    def _measure(self, outcomes):
        hosts = [self.bench.origin, self.bench.tracker, *self.bench.peers]
        interval = min(1.0, max(0.05, bound.for_point(self.point, self.kind) / 100))
        watch = guard.Watch(self.bench.peers, self.point.size, interval)
        before = counters(hosts)
        cpu_before = self.procs.cpu()
        early = [o for o in outcomes if o.role != "late"]
        try:
            barrier = threading.Barrier(len(early) + 1, action=self._common_start)
            threads = {o: self._spawn(o, barrier) for o in early}
            watch.begin(time.monotonic())
            barrier.wait(10)
            threads.update(self._events(outcomes, watch, list(threads.values())))
            for o, t in threads.items():
                if o.role != "killed":
                    t.join(max(0.0, self._t0 + self.limit + 5 - time.monotonic()))
        finally:
            watch.finish()
        cpu = {k: v - cpu_before.get(k, 0.0) for k, v in self.procs.cpu().items()}
        after = counters(hosts)
        for o in outcomes:
            self._verify(o)
        sent = self._origin_bytes()
        time.sleep(self.linger)
        return self._record(outcomes, watch, cpu, before, after, sent)

    def _common_start(self):
        self._t0 = time.monotonic()

    def _spawn(self, outcome, barrier=None):
        t = threading.Thread(target=self._download, args=(outcome, barrier), daemon=True)
        t.start()
        return t

    def _download(self, o, barrier):
        """The life of one peer. Whatever goes wrong is its outcome, not the sweep's end."""
        try:
            if barrier:
                barrier.wait(10)
            else:
                self.system.ready(o.host)
                o.started = time.monotonic() - self._t0
            self.system.start(o.host)
            finish = self.system.wait(o.host, self._t0 + self.limit)
            o.seconds = time.monotonic() - self._t0 - o.started
            o.finish = finish
        except Exception as e:  # noqa: BLE001 - any failure of a system under test is a result
            o.error = f"{o.host.name}: {e}" if str(e) else f"{o.host.name}: {type(e).__name__}"

    def _events(self, outcomes, watch, threads):
        """Kill and let join when it is time; returns the latecomers and their threads."""
        doomed = [o for o in outcomes if o.role == "killed"]
        late = [o for o in outcomes if o.role == "late"]
        early = [o for o in outcomes if o.role == "peer"]
        added = {}
        while (doomed or late) and time.monotonic() < self._t0 + self.limit:
            for o in list(doomed):
                if watch.progress(o.host.name) >= self.point.kill.at:
                    self.procs.kill(o.host)
                    doomed.remove(o)
            if late:
                mean = sum(watch.progress(o.host.name) for o in early) / len(early)
                if mean >= self.point.join.at:
                    added = {o: self._spawn(o) for o in late}
                    late = []
            if not any(t.is_alive() for t in threads):
                break  # all failed before it was time
            time.sleep(0.01)
        return added

    def _verify(self, o):
        """Believe no one: compare what is on the disk with what the origin offered."""
        if not o.finish or o.role == "killed":
            return
        try:
            o.verified = filecmp.cmp(o.finish.path, self.bench.file, shallow=False)
            if not o.verified:
                o.error = f"{o.host.name}: the file differs from the origin's"
        except OSError as e:
            o.error = f"{o.host.name}: {e}"

    def _origin_bytes(self):
        try:
            return self.system.origin_bytes()
        except Exception:  # noqa: BLE001 - the link's counter is there instead
            return None

    def _record(self, outcomes, watch, cpu, before, after, sent):
        p = self.point
        expected = [o for o in outcomes if o.role != "killed"]
        done = [o for o in expected if o.verified]
        late = [o.started for o in done if o.role == "late"]
        limit = bound.for_point(p, self.kind, max(late) if late else None)
        ends = [o.started + o.seconds for o in done]
        whole = len(done) == len(expected)
        machine = watch.cpu()
        delta = {n: {k: after[n][k] - before[n][k] for k in after[n]} for n in after}
        link = topology.payload(delta["h1"]["tx_bytes"], delta["h1"]["tx_packets"])
        for name, d in delta.items():
            d["received_payload"] = topology.payload(d["rx_bytes"], d["rx_packets"])
        daemons = sum(cpu.values())
        return {
            "status": "ok" if whole else "failed",
            "error": None if whole else "; ".join(o.error for o in expected if o.error) or
                     "not complete in time",
            "bound_seconds": limit,
            "distribution_seconds": max(ends) if whole and ends else None,
            "mean_seconds": sum(o.seconds for o in done) / len(done) if done else None,
            "ratio": max(ends) / limit if whole and ends else None,
            "available": len(done), "expected": len(expected),
            "peers": [{
                "host": o.host.name, "role": o.role, "verified": o.verified, "error": o.error,
                "started": round(o.started, 6), "driver_seconds": o.seconds,
                "daemon_seconds": o.finish.seconds if o.finish else None,
                "bytes_from_origin": o.finish.from_origin if o.finish else None,
                "bytes_from_peers": o.finish.from_peers if o.finish else None,
                "cpu_seconds": host_cpu(cpu, o.host), **delta[o.host.name]} for o in outcomes],
            "origin": {"sent_bytes": int(sent if sent is not None else link),
                       "sent_source": "system" if sent is not None else "link",
                       "cpu_seconds": host_cpu(cpu, self.bench.origin), **delta["h1"]},
            "tracker": {"cpu_seconds": host_cpu(cpu, self.bench.tracker), **delta["tracker"]},
            "retransmits": sum(d["retransmits"] for d in delta.values()),
            "cpu": {"daemon_seconds": daemons,
                    "daemon_seconds_per_gib":
                        daemons / (len(done) * p.size / (1 << 30)) if done else None,
                    "machine_seconds": machine["seconds"], "busy": machine["busy"],
                    "busy_max": machine["busy_max"], "full_windows": machine["full_windows"],
                    "softirq": machine["softirq"], "steal": machine["steal"],
                    "exhausted": guard.verdict(machine)},
            "curves": watch.curves(),
        }


def counters(hosts):
    return {h.name: {**h.traffic(), "retransmits": h.retransmits()} for h in hosts}


def host_cpu(cpu, host):
    return round(sum(v for (name, _), v in cpu.items() if name == host.name), 3)
