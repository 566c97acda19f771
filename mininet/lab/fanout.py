"""fanout itself, in its three strategies: tracker, origin and a peerd on every peer."""

import hashlib
import json
import os
import re
import time
from typing import Dict, Optional

from . import netns
from .procs import Proc, output
from .systems import Bench, Finish, System, alive
from .topology import Host
from .units import HOSTILE

TRACKER, ORIGIN, ORIGIN_HTTP, PEER, PEER_HTTP = 2680, 2684, 2694, 2685, 2695
# An emulated host has one core. Left to itself, the Go runtime of every daemon takes all of
# the machine's for its own, and wakes threads on them that find nothing to do.
ONE_CORE = {"GOMAXPROCS": "1"}
WAIT = 30  # seconds a call may hang in the daemon: Prefer: wait
SEED = 120  # seconds that a seeder has to verify its file
MAX_CHUNK = 64 << 20
DOES = {"liar": "lie", "claimer": "claim"}  # the deeds of bin/liar whose names are not their kind's


class Fanout(System):
    scenarios = System.scenarios | {"origins"}
    hostile = frozenset({"mute", "idle", "drip"})  # whom a table does not name, only swarm asks for anything
    strategy = ""
    built = True

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self._peerd: Dict[Host, Proc] = {}
        self._calls: Dict[Host, netns.Http] = {}

    @classmethod
    def versions(cls, repo: str) -> Dict[str, str]:
        settings = " ".join(f"{k}={v}" for k, v in ONE_CORE.items())
        return {"fanout": f"{built_from(os.path.join(repo, 'bin'))} ({settings})"}

    def _daemon(self, host: Host, name: str, *args: str) -> Proc:
        return self.bench.procs.start(
            host, name, [os.path.join(self.bench.repo, "bin", name), *args], env=ONE_CORE)

    @property
    def tracker_url(self) -> str:
        return f"http://{self.bench.tracker.ip}:{TRACKER}"

    def chunk_size(self) -> Optional[int]:
        """Bytes, or None to leave it to the origin."""
        return None

    def setup(self) -> None:
        b = self.bench
        tracker = self._daemon(b.tracker, "tracker", "--insecure",
                               "--listen", f"{b.tracker.ip}:{TRACKER}",
                               "--data-dir", b.dir_of(b.tracker))
        b.wait_http(b.tracker, TRACKER, "/readyz", tracker)
        for host in b.origins:
            self._origin(host)
        if b.seeder:
            self._seed(b.seeder)
        for host in b.intruders:
            self._intrude(host)

    def _origin(self, host: Host) -> None:
        """Several publish the same file under the same name, and share the work."""
        b, size = self.bench, self.chunk_size()
        origin = self._daemon(host, "origin", "--insecure", "--tracker", self.tracker_url,
                              "--listen", f"{host.ip}:{ORIGIN}", "--http", f"{host.ip}:{ORIGIN_HTTP}",
                              *(["--chunk-size", f"{size}B"] if size else []), b.file)
        b.wait_http(host, ORIGIN_HTTP, "/readyz", origin)

    def _intrude(self, host: Host) -> None:
        """A hostile member; one that is listed as a peer must be there before the others come."""
        hostile = self.bench.point.hostile
        assert hostile
        listed = hostile.kind in ("liar", "claimer")
        how = ["--listen", f"{host.ip}:{PEER}"] if listed else ["--sessions", str(hostile.count)]
        proc = self._daemon(host, "liar", "--tracker", self.tracker_url, "--id", host.name,
                            "--does", DOES.get(hostile.kind, hostile.kind), *how, self.bench.file_name)
        if listed:
            self._wait_listens(host, proc)

    @staticmethod
    def _wait_listens(host: Host, proc: Proc) -> None:
        def listens() -> bool:
            alive(proc)
            netns.connect(host.pid, (host.ip, PEER), 1).close()
            return True
        netns.wait_until(listens, 10, f"the {proc.role} on {host.name} did not listen")

    def _seed(self, host: Host) -> None:
        """A peer that has the file under its final name, verifies it, and is complete without a byte from anyone."""
        self.bench.give(host)
        self.ready(host)
        self.start(host)
        finish = self.wait(host, time.monotonic() + SEED)
        if finish.from_origin or finish.from_peers:
            raise RuntimeError(f"the seeder had the file, and fetched {finish.from_origin} bytes from the origin "
                               f"and {finish.from_peers} from peers")

    def ready(self, peer: Host) -> None:
        b = self.bench
        proc = self._daemon(peer, "peerd", "--insecure", "--tracker", self.tracker_url,
                            "--data-dir", b.dir_of(peer), "--id", peer.name,
                            "--listen", f"{peer.ip}:{PEER}", "--http", f"{peer.ip}:{PEER_HTTP}")
        b.wait_http(peer, PEER_HTTP, "/readyz", proc)
        self._peerd[peer] = proc
        self._calls[peer] = netns.Http(peer, PEER_HTTP)
        # A connection that has carried a request may stay idle for two minutes, a new one for ten seconds.
        self._calls[peer].call("GET", "/readyz")

    def start(self, peer: Host) -> None:
        self._calls[peer].send_call(
            "POST", "/v1/downloads", {"file": self.bench.file_name, "strategy": self.strategy},
            {"Prefer": f"wait={WAIT}"})

    def wait(self, peer: Host, deadline: float) -> Finish:
        call = self._calls[peer]
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("not complete in time")
            call.allow(min(left, WAIT + 10))
            status, body = call.read_answer()
            if status >= 300:
                raise RuntimeError(f"POST /v1/downloads: {status} {problem_text(body)}")
            d = json.loads(body)
            if d["state"] == "complete":
                return Finish(final_path(self.bench.dir_of(peer), d["path"]),
                              d.get("duration_seconds"),
                              d.get("bytes_from_origin"), d.get("bytes_from_peers"))
            if d["state"] in ("failed", "cancelled"):
                raise RuntimeError(f"download {d['state']}: {d.get('error') or 'no reason given'}")
            self.start(peer)  # the same file again gives the same download

    def deeds(self, host: Host) -> int:
        hostile, total = self.bench.point.hostile, 0
        sign = "lied about chunk" if hostile and hostile.kind == "liar" else "session with"
        for proc in self.bench.procs.of(host, "liar"):
            with open(proc.log, encoding="utf-8", errors="replace") as log:
                total += sum(line.startswith(sign) for line in log)
        return total

    def origin_bytes(self) -> Optional[int]:
        total = 0
        for host in self.bench.origins:
            _, body = netns.get(host, ORIGIN_HTTP, "/metrics")
            sent = metric_sum(body.decode(), "fanout_sent_bytes_total")
            if sent is None:
                return None
            total += sent
        return total


class Direct(Fanout):
    name = strategy = "direct"
    title = "fanout direct"
    kind = "client-server"


class Static(Fanout):
    name = strategy = "static"
    title = "fanout static"


class StaticOne(Fanout):
    """The table of the report: as many chunks as peers, one owned by each."""
    name, strategy = "static-one", "static"
    title = "fanout static, one chunk per peer"

    def chunk_size(self) -> int:
        point = self.bench.point
        size = -(-point.size // point.peers)
        if size > MAX_CHUNK:
            raise RuntimeError(f"one chunk for each of {point.peers} peers would be {size} bytes; "
                               f"the largest is {MAX_CHUNK}: choose a smaller --size or more peers")
        return size


class Swarm(Fanout):
    scenarios = Fanout.scenarios | {"seeder"}
    hostile = frozenset(HOSTILE)
    name = strategy = "swarm"
    title = "fanout swarm"


def built_from(directory: str) -> str:
    """The commit that the daemons in a directory say they are of; with a digest of them where that is not all."""
    programs = [os.path.join(directory, name) for name in ("tracker", "origin", "peerd")]
    found = [re.search(r"revision ([0-9a-f]{7})[0-9a-f]*(-dirty)?", output(p, "version")) for p in programs]
    said = "/".join(dict.fromkeys(m[1] + (m[2] or "") if m else "unknown" for m in found))
    if re.fullmatch("[0-9a-f]+", said):
        return said
    digest = hashlib.sha256()
    for program in filter(os.path.isfile, programs):  # what is missing is told elsewhere
        with open(program, "rb") as f:
            digest.update(f.read())
    return f"{said} {digest.hexdigest()[:8]}"


def final_path(data_dir: str, path: str) -> str:
    return path if os.path.isabs(path) else os.path.join(data_dir, path)


def metric_sum(text: str, name: str) -> Optional[int]:
    """The sum of a counter over its labels, from Prometheus text; None if it is not there. Pure."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)", text, re.M)
    return int(sum(map(float, found))) if found else None


def problem_text(body: bytes) -> str:
    """The readable part of an application/problem+json answer."""
    try:
        d = json.loads(body)
        return d.get("detail") or d.get("title") or str(d)
    except (ValueError, AttributeError):
        return body[:200].decode("utf-8", "replace")
