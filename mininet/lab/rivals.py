"""What people use today, each set up as someone who knows it would for a LAN."""

import base64
import json
import os
import re
import subprocess
import sys
import textwrap
import time
import urllib.parse
from typing import Any, Callable, Dict, Optional, Tuple

from . import netns
from .procs import Proc, ProcDied, output, readable, which
from .systems import Bench, Finish, System, alive
from .topology import Host


class Nginx(System):
    """Client/server: nginx with sendfile, one curl a peer. Nothing is verified, as is usual."""
    name, title, kind = "nginx", "nginx + curl (verifies nothing)", "client-server"
    commands = ("nginx", "curl")
    PORT = 8080

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self._curl: Dict[Host, Proc] = {}

    @classmethod
    def versions(cls, repo: str) -> Dict[str, str]:
        return {"nginx": output(which("nginx"), "-v").rpartition("/")[2],
                "curl": output("curl", "--version").split(" ")[1]}

    def setup(self) -> None:
        b = self.bench
        home = b.dir_of(b.origin)
        self._sent = os.path.join(home, "sent")
        conf = os.path.join(home, "nginx.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(textwrap.dedent(f"""\
                user root;
                daemon off;
                worker_processes 1;
                pid {home}/pid;
                error_log stderr;
                events {{ worker_connections 4096; }}
                http {{
                  sendfile on;
                  tcp_nopush on;
                  log_format sent '$body_bytes_sent';
                  access_log {self._sent} sent;
                  client_body_temp_path {home}/t1; proxy_temp_path {home}/t2;
                  fastcgi_temp_path {home}/t3; uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
                  server {{
                    listen {b.origin.ip}:{self.PORT};
                    root {os.path.dirname(b.file)};
                    location = /up {{ access_log off; return 200; }}
                  }}
                }}
                """))
        nginx = b.procs.start(b.origin, "nginx", [which("nginx"), "-e", "stderr", "-c", conf])
        b.wait_http(b.origin, self.PORT, "/up", nginx)

    def start(self, peer: Host) -> None:
        b = self.bench
        url = f"http://{b.origin.ip}:{self.PORT}/{urllib.parse.quote(b.file_name)}"
        self._curl[peer] = b.procs.start(
            peer, "curl", ["sh", "-c", "curl -q -sSf -o f.part -w '%{time_total}' \"$0\" && mv f.part f",
                           url], stdout=subprocess.PIPE)

    def wait(self, peer: Host, deadline: float) -> Finish:
        proc = self._curl[peer]
        status = proc.wait(deadline - time.monotonic())
        if status is None:
            raise TimeoutError("not complete in time")
        if status:
            alive(proc)
        took = proc.popen.stdout.read()
        proc.popen.stdout.close()
        return Finish(os.path.join(self.bench.dir_of(peer), "f"), float(took),
                      self.bench.point.size, 0)

    def origin_bytes(self) -> Optional[int]:
        if self.bench.point.gone():
            return None  # nginx counts what a killed peer's socket had taken, sent or not
        # A worker writes its log line after the client has seen the last byte.
        with open(self._sent, encoding="ascii") as f:
            lines = f.read().split()
        return sum(map(int, lines)) if len(lines) >= len(self._curl) else None


class BitTorrent(System):
    """What the BitTorrent rivals share: a .torrent, opentracker, a seed on the origin, and on the seeder, if any."""
    scenarios = System.scenarios | {"seeder"}
    ANNOUNCE = 6969

    def _torrent(self, piece: int) -> Tuple[str, bytes, bytes]:
        import libtorrent as lt
        b = self.bench
        fs = lt.file_storage()
        lt.add_files(fs, b.file)
        t = lt.create_torrent(fs, piece, flags=lt.create_torrent.v1_only)
        t.add_tracker(f"http://{b.tracker.ip}:{self.ANNOUNCE}/announce")
        lt.set_piece_hashes(t, os.path.dirname(b.file))
        raw = lt.bencode(t.generate())
        path = os.path.join(b.data_dir, "lab.torrent")
        with open(path, "wb") as f:
            f.write(raw)
        info = lt.torrent_info(lt.bdecode(raw))
        return path, raw, info.info_hash().to_bytes()

    def _opentracker(self, info_hash: bytes) -> None:
        b = self.bench
        home = b.dir_of(b.tracker)
        with open(os.path.join(home, "white"), "w", encoding="ascii") as f:
            f.write(info_hash.hex() + "\n")
        os.chmod(home, 0o755)
        proc = b.procs.start(b.tracker, "opentracker",
                             [which("opentracker"), "-i", b.tracker.ip, "-p", self.ANNOUNCE,
                              "-P", self.ANNOUNCE, "-d", home, "-u", "nobody", "-w", "white"])
        self._scrape = "/scrape?info_hash=" + urllib.parse.quote(info_hash, safe="")
        netns.wait_until(lambda: alive(proc) and netns.get(b.tracker, self.ANNOUNCE, "/stats"),
                         10, "opentracker did not answer")

    def _seeds(self, seed: Callable[[Host, str], Proc]) -> None:
        """Starts seed(host, directory) where the file is; returns once the tracker lists them all."""
        b = self.bench
        self._wait_seed(seed(b.origin, os.path.dirname(b.file)), 1)
        if b.seeder:
            self._wait_seed(seed(b.seeder, os.path.dirname(b.give(b.seeder))), 2)

    def _wait_seed(self, proc: Proc, count: int) -> None:
        b = self.bench

        def listed() -> bool:
            alive(proc)
            return complete(netns.get(b.tracker, self.ANNOUNCE, self._scrape)[1]) >= count
        netns.wait_until(listed, 20, "the seed was not listed by opentracker", interval=0.05)


def complete(scrape: bytes) -> int:
    """How many seeds a scrape answer counts. Pure."""
    m = re.search(rb"8:completei(\d+)e", scrape)
    return int(m[1]) if m else 0


class Aria2(BitTorrent):
    name, title = "aria2", "aria2"
    commands = ("aria2c", "opentracker")
    RPC = 6800
    FLAGS = ("--no-conf=true", "--enable-color=false", "--summary-interval=0",
             "--console-log-level=warn", "--enable-dht=false", "--enable-dht6=false",
             "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--file-allocation=none",
             "--bt-max-peers=0", "--seed-ratio=0", "--seed-time=999", "--bt-tracker-interval=2",
             "--bt-request-peer-speed-limit=1000M", "--listen-port=6881", "--enable-rpc=true",
             "--disable-ipv6=true", f"--rpc-listen-port={RPC}")

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self._fifo: Dict[Host, int] = {}
        self._proc: Dict[Host, Proc] = {}
        self._call: Dict[Host, netns.Http] = {}

    @classmethod
    def problem(cls, repo: str) -> Optional[str]:
        return super().problem(repo) or libtorrent_problem(cls.name)

    @classmethod
    def versions(cls, repo: str) -> Dict[str, str]:
        return {"aria2": output("aria2c", "--version").rpartition(" ")[2]}

    def setup(self) -> None:
        b = self.bench
        # Many small pieces spread sooner, but cost aria2 much at the start of a small file.
        piece = (256 if b.point.size <= 32 << 20 else 128) << 10
        torrent, self._raw, info_hash = self._torrent(piece)
        self._hook = os.path.join(b.data_dir, "done.sh")
        with open(self._hook, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\necho done > \"$LAB_FIFO\"\n")
        os.chmod(self._hook, 0o755)
        self._opentracker(info_hash)
        self._seeds(lambda host, home: b.procs.start(
            host, "aria2c", ["aria2c", *self.FLAGS, "--bt-seed-unverified=true", "-d", home, torrent]))

    def ready(self, peer: Host) -> None:
        b = self.bench
        home = b.dir_of(peer)
        fifo = os.path.join(home, "done.fifo")
        os.mkfifo(fifo)
        self._fifo[peer] = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        proc = b.procs.start(peer, "aria2c", ["aria2c", *self.FLAGS, "-d", home,
                             f"--on-bt-download-complete={self._hook}"],
                             env={"LAB_FIFO": fifo})
        self._proc[peer] = proc
        netns.wait_until(lambda: alive(proc) and self._rpc(peer, "aria2.getVersion"), 15,
                         f"aria2c on {peer.name} did not answer")
        self._call[peer] = netns.Http(peer, self.RPC, "127.0.0.1")
        self._call[peer].connect()

    def _rpc(self, host: Host, method: str, *params: Any, conn: Optional[netns.Http] = None) -> Any:
        own = conn or netns.Http(host, self.RPC, "127.0.0.1")
        try:
            status, body = own.call("POST", "/jsonrpc", {"jsonrpc": "2.0", "id": "lab",
                                    "method": method, "params": list(params)})
        finally:
            if not conn:
                own.close()
        answer = json.loads(body)
        if status != 200 or "error" in answer:
            raise RuntimeError(f"{method}: {answer.get('error', status)}")
        return answer["result"]

    def start(self, peer: Host) -> None:
        self._call[peer].allow(30)
        self._rpc(peer, "aria2.addTorrent", base64.b64encode(self._raw).decode(),
                  conn=self._call[peer])

    def wait(self, peer: Host, deadline: float) -> Finish:
        fifo = self._fifo.pop(peer)
        try:
            wait_readable(fifo, self._proc[peer], deadline)
        finally:
            os.close(fifo)
        return Finish(os.path.join(self.bench.dir_of(peer), self.bench.file_name))

    def origin_bytes(self) -> Optional[int]:
        active = self._rpc(self.bench.origin, "aria2.tellActive", ["uploadLength"])
        return sum(int(a["uploadLength"]) for a in active)


class Libtorrent(BitTorrent):
    name, title = "libtorrent", "libtorrent"
    commands = ("opentracker",)

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self._proc: Dict[Host, Proc] = {}

    @classmethod
    def problem(cls, repo: str) -> Optional[str]:
        return super().problem(repo) or libtorrent_problem(cls.name)

    @classmethod
    def versions(cls, repo: str) -> Dict[str, str]:
        import libtorrent
        return {"libtorrent": libtorrent.__version__}

    def _process(self, host: Host, mode: str, torrent: str, home: str) -> Proc:
        queue = 4 if self.bench.point.size <= 32 << 20 else 16
        return self.bench.procs.start(
            host, "libtorrent", [sys.executable, os.path.join(os.path.dirname(__file__), "lt_peer.py"),
                                 mode, torrent, home, host.ip, queue],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def setup(self) -> None:
        piece = (64 if self.bench.point.size <= 32 << 20 else 256) << 10
        self._file, _, info_hash = self._torrent(piece)
        self._opentracker(info_hash)
        self._seeds(lambda host, home: self._process(host, "seed", self._file, home))

    def ready(self, peer: Host) -> None:
        proc = self._process(peer, "peer", self._file, self.bench.dir_of(peer))
        self._proc[peer] = proc
        self._line(proc, time.monotonic() + 20)

    @staticmethod
    def _line(proc: Proc, deadline: float) -> str:
        wait_readable(proc.popen.stdout, proc, deadline)
        line = proc.popen.stdout.readline().decode()
        if not line:
            alive(proc)
        return line

    def start(self, peer: Host) -> None:
        tell(self._proc[peer])

    def wait(self, peer: Host, deadline: float) -> Finish:
        seconds = float(self._line(self._proc[peer], deadline))
        return Finish(os.path.join(self.bench.dir_of(peer), self.bench.file_name), seconds)


def tell(proc: Proc) -> None:
    proc.popen.stdin.write(b"go\n")
    proc.popen.stdin.flush()


def wait_readable(source: Any, proc: Proc, deadline: float) -> None:
    """Until there is something to read; TimeoutError, or ProcDied where nothing will come."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("not complete in time")
        if readable(source, min(left, 1.0)):
            return
        if proc.poll() is not None:
            alive(proc)
            raise ProcDied(f"{proc.role} on {proc.host.name} ended")


def libtorrent_problem(name: str) -> Optional[str]:
    try:
        import libtorrent  # noqa: F401
    except ImportError:
        return f"{name} needs python3-libtorrent: run mininet/setup.sh"
    return None
