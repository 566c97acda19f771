"""The command line of sweep.py: says what is wrong before anything starts."""

import argparse
import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

from . import cleanup, driver, plan, plots, prom, registry, results, topology, units

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TMPFS, DISK = "/dev/shm", "/tmp"
HOST_MEMORY = 32 << 20   # a host's shell, a daemon and its sockets
BRIDGE_PORTS = 1000      # a Linux bridge has 1024
EPILOG = """examples:
  sweep.py                                   the report's experiment, about ten minutes
  sweep.py --system swarm,nginx,aria2,libtorrent --peers 1,2,4,8,16,32 --size 64MiB
  sweep.py --peers 8 --system swarm --uplinks 100x4,20x4 --size 64MiB
  sweep.py --peers 8 --system swarm --kill 1@50% --size 64MiB
  sweep.py --resume sweeps/20260101-120000
  sweep.py plot DIR      draw the figures again
  sweep.py tables DIR... print the tables of several sweeps
  sweep.py prom DIR      open the Prometheus data of a sweep
  sweep.py clean         remove what a killed sweep left behind
"""


class Wrong(Exception):
    """What the user must change, in one line."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: stop as after Ctrl-C."""


def terminate(*_):
    raise Terminated


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Wrong(message)


def parser():
    p = Parser(prog="sweep.py", description="Measure how long it takes to put a file on every host.",
               epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    n = p.add_mutually_exclusive_group()
    n.add_argument("--hosts", metavar="LIST", help="hosts, the origin among them, like 2-14 (default)")
    n.add_argument("--peers", metavar="LIST", help="peers, the origin not among them, like 1,2,4,8")
    p.add_argument("--system", metavar="LIST", help="of " + ",".join(registry.systems())
                   + " (default direct,static,swarm)")
    p.add_argument("--size", metavar="SIZE", help="of the file (default 10MiB)")
    p.add_argument("--bw", metavar="MBIT", help="of every link, both ways, in Mbit/s (default 100)")
    p.add_argument("--repeat", metavar="N", help="runs a point (default 3)")
    p.add_argument("--uplinks", metavar="LIST", help="of the peers in Mbit/s, like 100x4,20x4")
    p.add_argument("--kill", metavar="N@P%", help="kill -9 so many peers once they have P %% of the file")
    p.add_argument("--join", metavar="N@P%", help="so many peers come when the others have P %% of the file")
    p.add_argument("--corrupt", metavar="N", help="so many more hosts that serve wrong bytes")
    p.add_argument("--topology", metavar="NAME", help="of " + ",".join(topology.topologies()) + " (default star)")
    p.add_argument("--trunk", metavar="MBIT", help="between the racks of two-racks (default half of --bw)")
    p.add_argument("--cc", metavar="NAME", help="TCP congestion control, like cubic or bbr (default the kernel's)")
    p.add_argument("--switch", metavar="NAME", help="bridge (default) or ovs")
    p.add_argument("--check", action="store_true", help="pingAll before each network is used")
    p.add_argument("--out", metavar="DIR", help="results (default sweeps/DATE-TIME)")
    p.add_argument("--resume", metavar="DIR", help="go on with the sweep in DIR; takes all parameters from there")
    p.add_argument("--again", action="store_true", help="with --resume: repeat the runs that ran out of CPU")
    p.add_argument("--data", metavar="DIR", help="where the hosts keep their files (default memory, if they fit)")
    p.add_argument("--no-build", action="store_true", help="use bin/ as it is")
    p.add_argument("--no-install", action="store_true", help="do not install missing packages")
    p.add_argument("--no-prometheus", action="store_true", help="measure without Prometheus")
    p.add_argument("--prometheus-port", type=int, default=prom.PORT, metavar="PORT",
                   help="on the loopback (default 9090, another where that is taken)")
    p.add_argument("--keep-logs", action="store_true", help="of the runs that went well, too")
    return p


GRID = ("hosts", "peers", "system", "size", "bw", "repeat", "uplinks", "kill", "join", "corrupt",
        "topology", "trunk", "cc", "switch", "out")


def grid(args):
    """The config of a sweep from its arguments: {'points', 'repeat', 'axis', ...}. Pure."""
    known = registry.systems()
    try:
        chosen = units.names(args.system or "direct,static,swarm", known, "system")
        size = units.size(args.size or "10MiB")
        bw = units.rate(args.bw or "100")
        repeat = count(args.repeat or "3", "--repeat", 1, 1000)
        corrupt = count(args.corrupt or "0", "--corrupt", 0, 100)
        uplinks = tuple(units.uplinks(args.uplinks)) if args.uplinks else None
        kill = units.event(args.kill) if args.kill else None
        join = units.event(args.join) if args.join else None
        shape = units.names(args.topology or "star", topology.topologies(), "topology")
        switch = units.names(args.switch or "bridge", ("bridge", "ovs"), "switch")
        trunk = units.rate(args.trunk) if args.trunk else None
        if args.peers:
            peers = units.counts(args.peers)
        elif args.hosts or not uplinks:
            peers = [n - 1 for n in units.counts(args.hosts or "2-14", least=2)]
        else:
            peers = [len(uplinks)]
    except ValueError as e:
        raise Wrong(str(e)) from None
    for text, found in (("--topology", shape), ("--switch", switch)):
        if len(found) != 1:
            raise Wrong(f"{text}: choose one")
    if trunk and shape[0] != "two-racks":
        raise Wrong("--trunk needs --topology two-racks")
    if shape[0] == "two-racks":
        trunk = trunk or bw / 2
        if min(peers) < 2:
            raise Wrong("--topology two-racks needs at least 2 peers")
    if uplinks and peers != [len(uplinks)]:
        raise Wrong(f"--uplinks names {len(uplinks)} peers, the sweep has "
                    + ",".join(map(str, peers)))
    gone = (kill.peers if kill else 0) + (join.peers if join else 0)
    if gone >= min(peers):
        raise Wrong(f"--kill and --join take {gone} peers; a point with {min(peers)} would have "
                    "none left that is there from start to end")
    for name in chosen:
        for scenario, asked in (("kill", kill), ("join", join), ("corrupt", corrupt)):
            if asked and scenario not in known[name].scenarios:
                raise Wrong(f"{name} cannot do --{scenario}")
    points = [plan.Point(name, n, size, bw, uplinks, kill, join, corrupt, shape[0], trunk,
                         args.cc, switch[0]) for n in peers for name in chosen]
    return {"points": [p.as_dict() for p in points], "repeat": repeat, "check": args.check,
            "keep_logs": args.keep_logs, "axis": "peers" if args.peers or uplinks else "hosts"}


def count(text, what, least, most):
    if not text.isdigit() or not least <= int(text) <= most:
        raise Wrong(f"{what} {text!r}: expected a number from {least} to {most}")
    return int(text)


def most_peers(memory, data, size):
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


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as f:
        for line in f:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def choose_data(config, wanted):
    """The directory for the hosts' files: memory where they fit, so that no disk is measured."""
    size = config["points"][0]["size"]
    need = max(p["peers"] + p["corrupt"] for p in config["points"])
    memory = available_memory() * 9 // 10
    choices = [wanted] if wanted else [TMPFS, DISK]
    best = (0, "memory")
    for root in choices:
        if not os.path.isdir(root) or not os.access(root, os.W_OK):
            if wanted:
                raise Wrong(f"--data {root}: not a directory that can be written to")
            continue
        free = shutil.disk_usage(root).free * 95 // 100
        in_memory = root == TMPFS
        found = most_peers(min(memory, free) if in_memory else memory,
                           None if in_memory else free, size)
        if found[0] >= need:
            return root
        best = max(best, found)
    raise Wrong(f"{need} peers with {units.human_size(size)} each: this machine holds "
                f"{best[0]} ({best[1]})")


def check_machine(config):
    """What must be there whatever the parameters."""
    if not sys.platform.startswith("linux"):
        raise Wrong("Mininet needs Linux; on other systems run it in a virtual machine")
    if os.geteuid() != 0:
        raise Wrong("Mininet needs root: run it with sudo")
    points = [plan.Point.from_dict(p) for p in config["points"]]
    if points[0].cc:
        with open("/proc/sys/net/ipv4/tcp_available_congestion_control", encoding="ascii") as f:
            have = f.read().split()
        if points[0].cc not in have:
            raise Wrong(f"--cc {points[0].cc}: this kernel has {', '.join(have)}"
                        " (modprobe may load more)")


def install(no_install):
    """Missing packages, through setup.sh."""
    setup = os.path.join(REPO, "mininet", "setup.sh")
    check = subprocess.run([setup, "--check"], check=False, capture_output=True, text=True)
    if check.returncode == 0:
        return
    if no_install:
        raise Wrong(f"missing {check.stdout.strip()}: run mininet/setup.sh")
    done = subprocess.run([setup], check=False)
    if done.returncode:
        raise Wrong("could not install what is missing: run mininet/setup.sh and see")


def check_programs(config, build):
    """The systems' programs; builds the daemons."""
    chosen = list(dict.fromkeys(p["system"] for p in config["points"]))
    known = registry.systems()
    liar = any(p["corrupt"] for p in config["points"])
    if any(name in driver.FANOUT for name in chosen) and build:
        why = driver.build(REPO, liar)
        if why:
            raise Wrong(why)
    for name in chosen:
        why = known[name].problem(REPO)
        if why:
            raise Wrong(why)
    if liar and not os.access(os.path.join(REPO, "bin", "liar"), os.X_OK):
        raise Wrong("--corrupt needs bin/liar: go build -o bin/liar ./internal/liar")
    if any(p["switch"] == "ovs" for p in config["points"]):
        why = topology.ovs_problem()
        if why:
            raise Wrong(why)


def results_dir(args):
    """The directory, made, and known to be writable."""
    path = args.out or os.path.join(
        REPO, "sweeps", datetime.datetime.now().strftime("%Y%m%d-%H%M%S"))
    if os.path.exists(os.path.join(path, results.CONFIG)):
        raise Wrong(f"{path} has a sweep already: go on with --resume {path}, or choose another --out")
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".probe")
        with open(probe, "w", encoding="ascii"):
            pass
        os.unlink(probe)
    except OSError as e:
        raise Wrong(f"results directory {path}: {e.strerror}") from None
    return path


def load_config(directory):
    try:
        with open(os.path.join(directory, results.CONFIG), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        raise Wrong(f"{directory}: no sweep there ({results.CONFIG} is missing or broken)") from None


def sweep(argv):
    args = parser().parse_args(argv)
    if args.resume:
        given = [g for g in GRID if getattr(args, g)]
        if given:
            raise Wrong(f"--resume takes all parameters from the sweep: leave out --{given[0]}")
        config = load_config(args.resume)
    else:
        if args.again:
            raise Wrong("--again repeats runs of an earlier sweep: name it with --resume DIR")
        config = grid(args)
        config["command"] = shlex.join(["sweep.py", *argv])
    check_machine(config)
    data = choose_data(config, args.data)
    directory = args.resume or results_dir(args)
    try:
        return carry_out(args, config, data, directory)
    finally:
        if not os.listdir(directory):
            os.rmdir(directory)  # nothing came of it


def carry_out(args, config, data, directory):
    """Everything that costs time or changes the machine."""
    install(args.no_install)
    check_programs(config, not args.no_build)
    lock = cleanup.Lock()
    if not lock.take(wait=False):
        driver.say(f"another sweep is running (process {lock.holder()}); waiting for it to end")
        lock.take(wait=True)
    cleanup.mark()
    left = cleanup.leftovers()
    if any(left):
        raise Wrong(f"a killed sweep left {cleanup.describe(*left)}: remove them with `sweep.py clean`")

    with open(os.path.join(directory, results.CONFIG), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=1)
    signal.signal(signal.SIGTERM, terminate)
    try:
        failed = driver.Sweep(directory, config, REPO, data, not args.no_prometheus,
                              args.prometheus_port, args.again).go()
    except KeyboardInterrupt as e:
        driver.say(f"\nstopped; go on with: sweep.py --resume {shlex.quote(directory)}")
        return 143 if isinstance(e, Terminated) else 130
    print(os.path.join(directory, results.SUMMARY_MD))
    if failed:
        driver.say(f"{failed} run{'s' if failed != 1 else ''} failed; logs are in {directory}/logs")
    return 1 if failed else 0


def plot(argv):
    if len(argv) != 1:
        raise Wrong("plot takes one directory")
    config = load_config(argv[0])
    results.write(argv[0], config)
    files = plots.draw(argv[0], config)
    if not files:
        raise Wrong(f"{argv[0]}: no run has succeeded, nothing to draw")
    print("\n".join(f for f in files if f.endswith(".png")))
    return 0


def tables(argv):
    if not argv:
        raise Wrong("tables takes directories")
    for directory in argv:
        config, records = load_config(directory), results.load(directory)
        if records:
            print(results.section(os.path.basename(os.path.abspath(directory)), config, records))
    return 0


def reopen(argv):
    if not 1 <= len(argv) <= 2:
        raise Wrong("prom takes a directory and, if you like, a port")
    try:
        prom.reopen(argv[0], int(argv[1]) if len(argv) > 1 else prom.PORT)
    except ValueError as e:
        raise Wrong(str(e)) from None
    return 0


def clean(argv):
    if argv:
        raise Wrong("clean takes no arguments")
    if os.geteuid() != 0:
        raise Wrong("cleaning needs root: run it with sudo")
    lock = cleanup.Lock()
    if not lock.take(wait=False):
        raise Wrong(f"a sweep is running (process {lock.holder()}); stop it with Ctrl-C instead")
    left = cleanup.leftovers()
    if not any(left):
        print("nothing to clean")
        return 0
    cleanup.clean(*left)
    print("removed " + cleanup.describe(*left))
    return 0


COMMANDS = {"plot": plot, "tables": tables, "clean": clean, "prom": reopen}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    try:
        if argv and argv[0] in COMMANDS:
            return COMMANDS[argv[0]](argv[1:])
        return sweep(argv)
    except Wrong as e:
        print(f"sweep.py: {e}", file=sys.stderr)
        return 2
