"""A whole sweep: networks, runs, records, progress, and putting everything away again.

Runs in the namespaces of the sweep's own (space.py): what it cannot put away itself goes with them.
"""

import datetime
import errno
import json
import os
import shutil
import socket
import sys
import time
import traceback
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Set, TextIO, Tuple, Type

from . import bound, plan, plots, prom, provenance, results, topology, units
from .plan import Run
from .pulse import Pulse, say
from .runner import Runner
from .systems import System


class Unwritable(RuntimeError):
    """The results directory takes nothing more: going on would measure in vain."""


@contextmanager
def writing(directory: str) -> Iterator[None]:
    """Whatever fails in here fails because of the results directory."""
    try:
        yield
    except OSError as e:
        if e.errno in (errno.EMFILE, errno.ENFILE):
            raise  # no fault of the directory's
        raise Unwritable(f"results directory {directory}: {e.strerror or e}") from e


class Progress:
    """One line per run that ended and, on a terminal, a line for the one going on."""

    def __init__(self, total: int, eta: plan.Eta, out: Optional[TextIO] = None):
        self._total, self._eta, self._out = total, eta, out or sys.stderr
        self._live = self._out.isatty()
        self.done = 0

    def now(self, run: Run, todo: List[Run], what: str = "") -> None:
        if self._live:
            self._write(f"\r\033[K{self._head(run)}{what} ...  ETA {units.human_time(self._eta.rest(todo))}")

    def ended(self, run: Run, record: Dict[str, Any], todo: List[Run]) -> None:
        head = self._head(run)
        self.done += 1
        if record["status"] == "ok":
            text = f"{record['distribution_seconds']:.2f} s, "
            if record["ratio"]:
                text += f"{record['ratio']:.2f} × bound, "
            text += f"origin {record['origin']['sent_bytes'] / run.point.size:.2f} × file"
            if record["cpu"]["exhausted"]:
                text += f" ({record['cpu']['exhausted']})"
        else:
            text = "FAILED: " + record["error"].splitlines()[0]
        clear = "\r\033[K" if self._live else ""
        self._write(f"{clear}{head}  {text}   ETA {units.human_time(self._eta.rest(todo))}\n")

    def _head(self, run: Run) -> str:
        return f"[{self.done + 1:>{len(str(self._total))}}/{self._total}] {run.title()}"

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            self._live = False  # the terminal is gone


class Sweep:
    """Carries out the points of a config in a results directory."""

    def __init__(self, directory: str, config: Dict[str, Any], repo: str, data: str,
                 classes: Dict[str, Type[System]], outside: Optional[socket.socket] = None, again: bool = False):
        """data: an empty directory for the hosts' files. outside: where Prometheus is to be seen, if at all."""
        self.directory, self.config, self.repo, self.data = directory, config, repo, data
        self.points = [plan.Point.from_dict(p) for p in config["points"]]
        self.classes = classes
        self.metrics = prom.Metrics()
        self._outside, self._again = outside, again
        self._prometheus: Optional[prom.Prometheus] = None
        self._linger = 0.0
        self._warm: Set[str] = set()
        self._env: Dict[str, Any] = {}
        self._pulse = Pulse()
        self._identity = identity(directory)

    def go(self) -> int:
        """Returns the number of runs that failed."""
        done = results.done(results.load(self.directory), self._again)
        order = plan.runs(self.points, self.config["repeat"], self.config.get("seed", 0))
        self._positions = {r: i for i, r in enumerate((r for g in order for r in g), 1)}
        groups = [g for g in ([r for r in group if r.key not in done] for group in order) if g]
        todo = [r for group in groups for r in group]
        eta = plan.Eta(lambda r: bound.for_point(r.point, self.classes[r.point.system].kind))
        self._progress, self._eta = Progress(len(todo), eta), eta
        say(f"{units.counted(len(todo), 'run')}, about "
            f"{units.human_time(eta.rest(todo) + 2 * len(groups))}; results in {self.directory}")
        failed = 0
        try:
            self._begin()
            for group in groups:
                failed += self._group(group, todo)
        finally:
            self._end()
        return failed

    def _begin(self) -> None:
        for p in self.points:
            if not os.path.exists(self._file(p)):
                os.makedirs(os.path.dirname(self._file(p)), exist_ok=True)
                write_file(self._file(p), p.size)
        self._env = provenance.environment(self.points, self.classes, self.repo)
        self._warn_of_others()
        self._pulse.start()
        self.metrics.set("fanout_lab_runs_planned", len(self._positions))
        if self._outside:
            _, address = prom.serve(self.metrics)
            self._prometheus = prom.Prometheus(self.directory, f"http://{topology.TRACKER}:2680/v1/sd",
                                               address, self._outside)
            self._prometheus.wait_ready()
            self._linger = prom.INTERVAL + 0.15
            say(f"Prometheus: {prom.address(self._outside)}")

    def _warn_of_others(self) -> None:
        """Says if a resumed sweep goes on with other programs than it began with."""
        now = self._env["versions"]
        for r in results.load(self.directory):
            for name, version in r.get("env", {}).get("versions", {}).items():
                if now.get(name, version) != version:
                    say(f"warning: earlier runs of this sweep are of {name} {version}, these of {now[name]}")
                    return

    def _still_there(self) -> None:
        """The directory may be removed or renamed while the sweep runs: made again, it would be no sweep's."""
        if not self._identity or identity(self.directory) != self._identity:
            raise Unwritable(f"results directory {self.directory}: it was removed or renamed while the sweep ran")

    def _file(self, point: plan.Point) -> str:
        return os.path.join(self.data, "origin", str(point.size), "payload.bin")

    def _end(self) -> None:
        self._pulse.stop()
        if self._prometheus:
            self._prometheus.stop()
        self._still_there()
        with writing(self.directory):
            results.write(self.directory, self.config)
            plots.draw(self.directory, self.config)

    def _group(self, group: List[Run], todo: List[Run]) -> int:
        """All runs that share a network. A network that fails is one failure for each of them."""
        self._still_there()
        log = os.path.join(self.directory, "logs", "mininet.log")
        with writing(self.directory):
            os.makedirs(os.path.dirname(log), exist_ok=True)
        network = topology.Network(group[0].point, log, self._pulse.beat)
        failed = 0
        try:
            self._progress.now(group[0], todo, ", building the network")
            try:
                network.start()
                if self.config.get("check"):
                    network.ping_all()
                self._env["congestion_control"] = network.congestion_control()
            except Exception as e:  # noqa: B902 - recorded, and the sweep goes on
                for run in group:
                    todo.remove(run)
                    self._store(run, failure(f"network: {e}"), provenance.now(), 0.0, todo)
                return len(group)
            for run in group:
                self._warm_up(run, network, todo)
                self._progress.now(run, todo)
                begun, begin = provenance.now(), time.monotonic()
                record = self._one(run, network)
                todo.remove(run)
                failed += record["status"] != "ok"
                self._store(run, record, begun, time.monotonic() - begin, todo)
            return failed
        finally:
            network.stop()

    def _warm_up(self, run: Run, network: topology.Network, todo: List[Run]) -> None:
        """The first run of a system reads its program from the disk, and so on: it is thrown away."""
        if run.point.system not in self._warm:
            self._warm.add(run.point.system)
            self._progress.now(run, todo, ", warming up")
            record = self._one(run, network)
            if record["status"] != "ok":
                say(f"{run.point.system}, warming up: {record['error']}")

    def _one(self, run: Run, network: topology.Network) -> Dict[str, Any]:
        p = run.point
        system = self.classes[p.system]
        log_dir = os.path.join(self.directory, "logs", run.key)
        shutil.rmtree(log_dir, ignore_errors=True)
        with writing(self.directory):
            os.makedirs(log_dir)
        self.metrics.clear("fanout_lab_point_info")
        self.metrics.set("fanout_lab_point_info", 1, system=p.system, peers=p.peers, size_bytes=p.size,
                         bw_mbit="none" if p.bw is None else f"{p.bw:g}", repeat=run.repeat)
        least = bound.for_point(p, system.kind)
        if least:
            self.metrics.set("fanout_lab_bound_seconds", least, system=p.system, peers=p.peers)
        try:
            record = Runner(run, system, network, self._file(p), os.path.join(self.data, "run"), log_dir,
                            self.repo, self._linger if system.built else 0.0, self._pulse.beat).go()
        except OSError as e:
            if e.filename and str(e.filename).startswith(self.directory):
                raise Unwritable(f"results directory {self.directory}: {e.strerror}") from e
            record = self._broken(e, log_dir)
        except Exception as e:  # noqa: B902 - recorded, and the sweep goes on
            record = self._broken(e, log_dir)
        if record["status"] == "ok" and not self.config.get("keep_logs"):
            shutil.rmtree(log_dir, ignore_errors=True)
        return record

    def _broken(self, error: Exception, log_dir: str) -> Dict[str, Any]:
        log = os.path.join(log_dir, "driver.log")
        with writing(self.directory), open(log, "w", encoding="utf-8", errors="backslashreplace") as f:
            traceback.print_exc(file=f)
        return failure(str(error) or type(error).__name__)

    def _store(self, run: Run, record: Dict[str, Any], begun: datetime.datetime, wall: float,
               todo: List[Run]) -> None:
        p, system = run.point, self.classes[run.point.system]
        curves = record.pop("curves", None)
        head = {"key": run.key, "repeat": run.repeat, "kind": system.kind, "title": system.title,
                "point": p.as_dict(), "seed": self.config.get("seed", 0), "position": self._positions[run],
                "prometheus": bool(self._outside),
                "started_at": provenance.stamp(begun), "ended_at": provenance.stamp(provenance.now())}
        self._still_there()
        with writing(self.directory):
            if curves:
                os.makedirs(os.path.join(self.directory, "curves"), exist_ok=True)
                with open(os.path.join(self.directory, "curves", run.key + ".json"), "w", encoding="ascii") as f:
                    json.dump(curves, f, separators=(",", ":"))
            results.append(self.directory, {**head, **record, "env": self._env})
        self._publish(p, record)
        self._eta.done(run, record.get("distribution_seconds"), wall)
        self._progress.ended(run, record, todo)

    def _publish(self, p: plan.Point, record: Dict[str, Any]) -> None:
        labels = {"system": p.system, "peers": p.peers}
        self.metrics.add("fanout_lab_runs_total", system=p.system, outcome=record["status"])
        if record["status"] == "ok":
            self.metrics.set("fanout_lab_distribution_seconds", record["distribution_seconds"], **labels)
            self.metrics.set("fanout_lab_mean_seconds", record["mean_seconds"], **labels)
            self.metrics.set("fanout_lab_origin_sent_ratio", record["origin"]["sent_bytes"] / p.size, **labels)
            self.metrics.set("fanout_lab_cpu_busy_ratio", record["cpu"]["busy"], **labels)


def identity(directory: str) -> Optional[Tuple[int, int]]:
    """What tells a sweep's directory from another that has its name by now; None where there is no sweep."""
    if not os.path.isfile(os.path.join(directory, results.CONFIG)):
        return None
    found = os.stat(directory)
    return found.st_dev, found.st_ino


def failure(error: str) -> Dict[str, Any]:
    return {"status": "failed", "error": error}


def write_file(path: str, size: int) -> None:
    """Random bytes: nothing on the way can compress them. OSError names the file."""
    try:
        with open(path, "wb") as f:
            for at in range(0, size, 1 << 20):
                f.write(os.urandom(min(size - at, 1 << 20)))
    except OSError as e:
        raise OSError(e.errno, e.strerror, path) from None
