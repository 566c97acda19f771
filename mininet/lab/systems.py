"""What a system under test must be able to do."""

import filecmp
import os
import shutil
from dataclasses import dataclass
from typing import Dict, FrozenSet, Optional, Tuple

from . import netns
from .plan import EVENTS, Point
from .procs import Proc, ProcDied, Procs, ended, tail, which
from .topology import Host, Network


@dataclass
class Finish:
    """A peer has the whole verified file under its final name."""
    path: str
    seconds: Optional[float] = None     # as the system itself reports it
    from_origin: Optional[int] = None   # payload bytes, where the system can tell
    from_peers: Optional[int] = None
    at: Optional[float] = None          # of time.monotonic(), where looking took time of its own


class System:
    """One way to put a file on every peer. A run has a fresh instance of it.

    The runner calls setup once, ready for every peer (in parallel), start and wait for
    every peer at the common start (each peer in a thread of its own), origin_bytes at the
    end. Processes go through bench.procs, so that they are accounted for and ended.
    """
    name = ""
    title = ""            # in tables and plots
    kind = "p2p"          # or "client-server": which bound applies
    scenarios: FrozenSet[str] = frozenset(EVENTS)   # and "origins", "seeder"
    hostile: FrozenSet[str] = frozenset()   # of units.HOSTILE, what it can be measured with
    commands: Tuple[str, ...] = ()   # what must be in PATH
    built = False         # whether it is this repository's daemons, which Prometheus finds at the tracker

    def __init__(self, bench: "Bench"):
        self.bench = bench

    @classmethod
    def problem(cls, repo: str) -> Optional[str]:
        """Why it cannot run here, in one line, or None."""
        for command in cls.commands:
            if not which(command):
                return f"{cls.name} needs {command}: run mininet/setup.sh"
        return None

    @classmethod
    def versions(cls, repo: str) -> Dict[str, str]:
        """{program: version}."""
        return {}

    def setup(self) -> None:
        """Start what is not a peer, and offer the file. Returns when peers may come."""
        raise NotImplementedError

    def ready(self, peer: Host) -> None:
        """Bring up the peer's process, to the point where it waits to be told."""

    def start(self, peer: Host) -> None:
        """Tell the peer to download. Returns at once."""
        raise NotImplementedError

    def wait(self, peer: Host, deadline: float) -> Finish:
        """Block until the peer has the file; a Finish. deadline is of time.monotonic()."""
        raise NotImplementedError

    def deeds(self, host: Host) -> int:
        """How often a hostile host has sent wrong bytes, as a liar, or has had a session; only for systems that can do
        --hostile."""
        return 0

    def origin_bytes(self) -> Optional[int]:
        """Payload bytes that all origins sent, or None to take them from their links' counters."""
        return None


class Bench:
    """What one run works with: the network, its processes, the file, a place for data."""

    def __init__(self, point: Point, net: Network, procs: Procs, data_dir: str, file: str, repo: str):
        self.point, self.net, self.procs, self.repo = point, net, procs, repo
        self.data_dir, self.file = data_dir, file
        self.file_name = os.path.basename(file)
        self.origins = net.origins()
        self.origin, self.tracker = self.origins[0], net.hosts["tracker"]
        self.peers, self.intruders = net.peers(), net.intruders()
        self.seeder = net.hosts.get("seeder")

    def dir_of(self, host: Host) -> str:
        return self.procs.home(host)

    def give(self, host: Host) -> str:
        """Puts the whole file into a host's directory, as if it had it from before; where it is."""
        return shutil.copyfile(self.file, os.path.join(self.dir_of(host), self.file_name))

    def wipe(self) -> None:
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def wait_http(self, host: Host, port: int, path: str, proc: Proc, timeout: float = 15,
                  address: Optional[str] = None) -> None:
        """Until GET answers 200. Says so if the process dies instead."""
        def answered() -> bool:
            alive(proc)
            return netns.get(host, port, path, address, timeout=2)[0] == 200
        netns.wait_until(answered, timeout,
                         f"{proc.role} on {host.name} did not answer 200 at {path}")


def same(path: str, file: str) -> bool:
    """Whether two files have the same bytes; filecmp would believe sizes and times that it has seen before."""
    filecmp.clear_cache()
    return filecmp.cmp(path, file, shallow=False)


def alive(proc: Proc) -> bool:
    """True; ProcDied, with the last line of its log, unless the process runs."""
    status = proc.poll()
    if status is not None:
        why = tail(proc.log, 1)
        raise ProcDied(f"{proc.role} on {proc.host.name} {ended(status)}"
                       + (f": {why}" if why else ""))
    return True
