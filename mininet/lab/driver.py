"""A whole sweep: networks, runs, records, progress, and putting everything away again."""

import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import traceback

from . import bound, cleanup, plan, plots, prom, registry, results, topology, units
from .runner import Runner
from .systems import output


class Progress:
    """One line a run that ended and, on a terminal, a line for the one going on."""

    def __init__(self, total, eta, out=sys.stderr):
        self._total, self._eta, self._out = total, eta, out
        self._live = out.isatty()
        self.done = 0

    def now(self, run, todo):
        if self._live:
            self._out.write(f"\r\033[K{self._head(run)} ...  ETA "
                            f"{units.human_time(self._eta.rest(todo))}")
            self._out.flush()

    def ended(self, run, record, todo):
        head = self._head(run)
        self.done += 1
        if record["status"] == "ok":
            text = (f"{record['distribution_seconds']:.2f} s, {record['ratio']:.2f} × bound, "
                    f"origin {record['origin']['sent_bytes'] / run.point.size:.2f} × file")
            if record["cpu"]["exhausted"]:
                text += " (out of CPU)"
        else:
            text = "FAILED: " + record["error"].splitlines()[0]
        clear = "\r\033[K" if self._live else ""
        self._out.write(f"{clear}{head}  {text}   ETA "
                        f"{units.human_time(self._eta.rest(todo))}\n")
        self._out.flush()

    def _head(self, run):
        return (f"[{self.done + 1:>{len(str(self._total))}}/{self._total}] {run.point.system}, "
                f"{run.point.peers} peers, #{run.repeat}")


class Sweep:
    """Carries out the points of a config in a results directory."""

    def __init__(self, directory, config, repo, data_root, prometheus=True, prometheus_port=prom.PORT,
                 again=False):
        self.directory, self.config, self.repo = directory, config, repo
        self.points = [plan.Point.from_dict(p) for p in config["points"]]
        self.classes = registry.systems()
        self.data = cleanup.data_dir(data_root)
        self.metrics = prom.Metrics()
        self._with_prometheus, self._port, self._again = prometheus, prometheus_port, again
        self._prometheus = self._server = None
        self._linger = 0.0

    def go(self):
        """Returns the number of runs that failed."""
        done = results.done(results.load(self.directory), self._again)
        groups = [[r for r in group if r.key not in done]
                  for group in plan.runs(self.points, self.config["repeat"])]
        todo = [r for group in groups for r in group]
        eta = plan.Eta(lambda r: bound.for_point(r.point, self.classes[r.point.system].kind))
        self._progress, self._eta = Progress(len(todo), eta), eta
        say(f"{len(todo)} run{'s' if len(todo) != 1 else ''}, about {units.human_time(eta.rest(todo) + 3 * len(groups))}; "
            f"results in {self.directory}")
        failed = 0
        try:
            self._begin()
            for group in groups:
                if group:
                    failed += self._group(group, todo)
        finally:
            self._end()
        return failed

    def _begin(self):
        self._subnet = topology.free_subnet(topology.used_subnets())
        os.makedirs(self.data)
        self._file = os.path.join(self.data, "origin", "payload.bin")
        os.makedirs(os.path.dirname(self._file))
        write_file(self._file, self.points[0].size)
        self._env = environment(self.points, self.classes, self.repo)
        total = len(self.points) * self.config["repeat"]
        self.metrics.set("fanout_lab_runs_planned", total)
        if self._with_prometheus:
            self._server, address = prom.serve(self.metrics)
            self._prometheus = prom.Prometheus(
                self.directory, f"http://{self._subnet.broadcast_address - 1}:2680/v1/sd",
                address, self._port)
            self._prometheus.wait_ready()
            self._linger = prom.INTERVAL + 0.15
            say(f"Prometheus: {self._prometheus.url}")

    def _end(self):
        """A second Ctrl-C must not stop the clean-up."""
        old = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if self._prometheus:
                self._prometheus.stop()
            if self._server:
                self._server.shutdown()
            shutil.rmtree(self.data, ignore_errors=True)
            all_rows = results.write(self.directory, self.config)
            if any(r.ok for r in all_rows):
                plots.draw(self.directory, self.config)
        finally:
            signal.signal(signal.SIGINT, old)

    def _group(self, group, todo):
        """All runs that share a network. A network that fails is one failure for each of them."""
        network = None
        failed = 0
        log = os.path.join(self.directory, "logs", "mininet.log")
        os.makedirs(os.path.dirname(log), exist_ok=True)
        try:
            try:
                network = topology.Network(group[0].point, self._subnet, log)
                network.start()
                if self.config.get("check"):
                    network.ping_all()
                self._env["congestion_control"] = network.congestion_control()
            except Exception as e:  # noqa: BLE001
                for run in group:
                    todo.remove(run)
                    self._store(run, failure(f"network: {e}"), 0.0, todo)
                return len(group)
            for run in group:
                self._progress.now(run, todo)
                begin = time.monotonic()
                record = self._one(run, network)
                todo.remove(run)
                failed += record["status"] != "ok"
                self._store(run, record, time.monotonic() - begin, todo)
            return failed
        finally:
            if network:
                calmly(network.stop)

    def _one(self, run, network):
        p = run.point
        system = self.classes[p.system]
        log_dir = os.path.join(self.directory, "logs", run.key)
        shutil.rmtree(log_dir, ignore_errors=True)
        os.makedirs(log_dir)
        self.metrics.clear("fanout_lab_point_info")
        self.metrics.set("fanout_lab_point_info", 1, system=p.system, peers=p.peers,
                         size_bytes=p.size, bw_mbit=f"{p.bw:g}", repeat=run.repeat)
        self.metrics.set("fanout_lab_bound_seconds", bound.for_point(p, system.kind),
                         system=p.system, peers=p.peers)
        try:
            record = Runner(run, system, network, self._file, os.path.join(self.data, "run"),
                            log_dir, self.repo,
                            self._linger if p.system in FANOUT else 0.0).go()
        except Exception as e:  # noqa: BLE001 - recorded, and the sweep goes on
            record = failure(str(e) or type(e).__name__)
            with open(os.path.join(log_dir, "driver.log"), "w", encoding="utf-8") as f:
                traceback.print_exc(file=f)
        if record["status"] == "ok" and not self.config.get("keep_logs"):
            shutil.rmtree(log_dir, ignore_errors=True)
        return record

    def _store(self, run, record, wall, todo):
        p = run.point
        kind = self.classes[p.system].kind
        curves = record.pop("curves", None)
        if curves:
            os.makedirs(os.path.join(self.directory, "curves"), exist_ok=True)
            with open(os.path.join(self.directory, "curves", run.key + ".json"), "w",
                      encoding="ascii") as f:
                json.dump(curves, f, separators=(",", ":"))
        head = {"key": run.key, "repeat": run.repeat, "kind": kind, "point": p.as_dict(),
                "ended_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
        results.append(self.directory, {**head, **record, "env": self._env})
        self._publish(p, record)
        self._eta.done(run, record.get("distribution_seconds"), wall)
        self._progress.ended(run, record, todo)

    def _publish(self, p, record):
        labels = {"system": p.system, "peers": p.peers}
        self.metrics.add("fanout_lab_runs_total", system=p.system, outcome=record["status"])
        if record["status"] == "ok":
            self.metrics.set("fanout_lab_distribution_seconds", record["distribution_seconds"], **labels)
            self.metrics.set("fanout_lab_mean_seconds", record["mean_seconds"], **labels)
            self.metrics.set("fanout_lab_origin_sent_ratio",
                             record["origin"]["sent_bytes"] / p.size, **labels)
            self.metrics.set("fanout_lab_cpu_busy_ratio", record["cpu"]["busy"], **labels)


FANOUT = ("direct", "static", "swarm")


def failure(error):
    return {"status": "failed", "error": error}


def calmly(action):
    """Finish even if the user presses Ctrl-C meanwhile."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        action()
    finally:
        signal.signal(signal.SIGINT, old)


def say(text):
    print(text, file=sys.stderr, flush=True)


def write_file(path, size):
    """Random bytes: nothing on the way can compress them."""
    with open(path, "wb") as f:
        left = size
        while left:
            n = min(left, 1 << 20)
            f.write(os.urandom(n))
            left -= n


def environment(points, classes, repo):
    versions = {}
    for name in dict.fromkeys(p.system for p in points):
        versions.update(classes[name].versions(repo))
    versions["Mininet"] = mininet_version()
    versions["Python"] = platform.python_version()
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        models = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    return {"kernel": platform.release(), "cpus": os.cpu_count(),
            "cpu_model": models[0] if models else platform.machine(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)),
            "congestion_control": None, "versions": versions}


def mininet_version():
    try:
        from mininet.net import VERSION
        return VERSION
    except ImportError:
        return output("mn", "--version")


def build(repo, liar):
    """Build the daemons and, if asked, the lying peer; a line saying why where that fails."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if not go:
        return "Go is not installed: install it (https://go.dev/dl) and run `make build`"
    env = {**os.environ, "PATH": os.environ["PATH"] + ":" + os.path.dirname(go)}
    steps = [["make", "-s", "build"]]
    if liar:
        steps.append([go, "build", "-o", "bin/liar", "./internal/liar"])
    for argv in steps:
        done = subprocess.run(argv, cwd=repo, env=env, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            last = (done.stdout.strip().splitlines() or ["no output"])[-1]
            return f"`{' '.join(argv)}` failed: {last}"
    return None
