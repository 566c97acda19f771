"""What must be there before a sweep can begin: the machine, packages, programs, room. Each fault is
one line (Wrong) that names the remedy."""

import importlib.util
import os
import resource
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional, Tuple, Type

from . import REPO, line, ovs, plan, units
from .machine import sysctl
from .options import Wrong
from .systems import System

DISK = "/tmp"
HOST_MEMORY = 32 << 20   # a host's shell, a daemon and its sockets
BRIDGE_PORTS = 1000      # a Linux bridge has 1024
DESCRIPTORS = 8          # that the driver has open per host, Mininet's shell and its counters among them


def most_peers(memory: int, data: Optional[int], size: int) -> Tuple[int, str]:
    """(peers, what limits them) for so many bytes of free memory and room for data. Pure.

    data is None where it lies in that same memory.
    """
    if data is None:
        limits = [((memory - size) // (size + HOST_MEMORY), "memory")]
    else:
        limits = [(memory // HOST_MEMORY, "memory"), ((data - size) // size, "room for their files")]
    limits.append((BRIDGE_PORTS, "ports of a Linux bridge"))
    n, why = min(limits)
    return max(0, n), why


def most_hosts(config: Dict[str, Any]) -> int:
    """Peers and all others of the largest point, but for its first origin."""
    points = [plan.Point.from_dict(p) for p in config["points"]]
    return max(p.peers + p.others() for p in points)


def available_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as f:
        for text in f:
            if text.startswith("MemAvailable:"):
                return int(text.split()[1]) * 1024
    return 0


def choose_data(config: Dict[str, Any], wanted: Optional[str]) -> Optional[str]:
    """The directory for the hosts' files, or None for memory: that where they fit, so that no disk is measured."""
    size = max(p["size"] for p in config["points"])
    need = most_hosts(config)
    memory = available_memory() * 9 // 10
    found = (0, "memory")
    if not wanted:
        found = most_peers(memory, None, size)
        if found[0] >= need:
            return None
    root = wanted or DISK
    if not os.path.isdir(root) or not os.access(root, os.W_OK):
        raise Wrong(f"--data {root}: not a directory that can be written to")
    found = max(found, most_peers(memory, shutil.disk_usage(root).free * 95 // 100, size))
    if found[0] < need:
        raise Wrong(f"{units.counted(need, 'peer')} with {units.human_size(size)} each: this machine holds "
                    f"{found[0]} ({found[1]})")
    return root


def check_machine(config: Dict[str, Any]) -> None:
    """What must be there whatever the programs."""
    if not sys.platform.startswith("linux"):
        raise Wrong("Mininet needs Linux; on other systems run it in a virtual machine")
    if os.geteuid() != 0:
        raise Wrong("Mininet needs root: run it with sudo")
    hosts = most_hosts(config) + 2  # origin and tracker
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 64 + DESCRIPTORS * hosts:
        raise Wrong(f"{hosts} hosts need {64 + DESCRIPTORS * hosts} open files, and {most} are allowed: "
                    "raise the limit (ulimit -Hn)")
    cc = plan.Point.from_dict(config["points"][0]).cc
    if cc:
        have = sysctl("net/ipv4/tcp_available_congestion_control").split()
        if cc not in have:
            raise Wrong(f"--cc {cc}: this kernel has {', '.join(have)} (modprobe may load more)")


def install(no_install: bool) -> None:
    """Missing packages, through setup.sh."""
    setup = os.path.join(REPO, "mininet", "setup.sh")
    check = subprocess.run([setup, "--check"], check=False, capture_output=True, text=True)
    if check.returncode == 0:
        return check_python()
    if no_install:
        raise Wrong(f"missing {check.stdout.strip()}: run mininet/setup.sh")
    done = subprocess.run([setup], check=False)
    if done.returncode:
        raise Wrong("could not install what is missing: run mininet/setup.sh and see")
    check_python()


def check_python() -> None:
    """Packages are the system's Python's, whichever one runs this."""
    missing = [name for name in ("mininet", "matplotlib") if not importlib.util.find_spec(name)]
    if missing:
        raise Wrong(f"{sys.executable} has no module {' and '.join(missing)}: run sweep.py with /usr/bin/python3")


def check_programs(config: Dict[str, Any], known: Dict[str, Type[System]], build_ours: bool) -> None:
    """The systems' programs; builds the daemons."""
    chosen = [known[name] for name in dict.fromkeys(p["system"] for p in config["points"])]
    targets = []
    if any(system.built for system in chosen):
        targets += ["./tracker", "./origin", "./peerd"]
    if any(plan.Point.from_dict(p).hostile for p in config["points"]):
        targets.append("./internal/proving/liar")
    far = any(p.get("delay_ms") or p.get("loss") for p in config["points"])
    if far and not line.has_netem():
        targets.append("./internal/proving/line")
    if targets and build_ours:
        build(targets)
    for target in targets:
        program = os.path.join(REPO, "bin", os.path.basename(target))
        if not os.access(program, os.X_OK):
            raise Wrong(f"{program} is not there: leave out --no-build, or go build -o bin/ {target}")
    problems = [system.problem(REPO) for system in chosen]
    if far:
        problems.append(line.problem())
    if any(p["switch"] == "ovs" for p in config["points"]):
        problems.append(ovs.problem())
    for why in filter(None, problems):
        raise Wrong(why)


def build(targets: List[str]) -> None:
    """Builds daemons and tools into bin/, through the Makefile, which knows the flags."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")
    if not go:
        raise Wrong("Go is not installed: install it (https://go.dev/dl), or use --no-build with daemons in bin/")
    env = {**os.environ, "PATH": os.environ["PATH"] + ":" + os.path.dirname(go)}
    try:
        done = subprocess.run(["make", "-s", "build", "DAEMONS=" + " ".join(targets)], cwd=REPO, env=env, check=False,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise Wrong("make is not installed: apt-get install make, or use --no-build with daemons in bin/") from None
    if done.returncode:
        said = [text for text in done.stdout.strip().splitlines() if not text.startswith("make")]
        raise Wrong("the daemons do not build:\n  " + "\n  ".join(said or ["no output"]))
