"""The command line: arguments, what they mean, and what is wrong with them. Says so before anything
starts, and changes nothing."""

import argparse
import os
import random
import sys
import textwrap
from typing import Any, Dict, List, NoReturn, Optional

from . import bound, own, plan, prom, registry, topology, units

EPILOG = """commands, each with the options above:
  sweep.py ...           a sweep
  sweep.py report        the report's experiments, all of them
  sweep.py single        one run of each system; asks for the number of hosts

and without:
  sweep.py doctor        what this machine can do for the lab, and what not
  sweep.py plot DIR      draw the figures of a sweep again
  sweep.py tables DIR... print the tables of several sweeps
  sweep.py prom DIR      open the Prometheus data of a sweep

examples:
  sweep.py --system swarm,nginx,aria2,libtorrent --peers 1,2,4,8,16,32 --size 64MiB
  sweep.py --peers 8 --system swarm --uplinks 100x4,20x4 --size 64MiB
  sweep.py --peers 8 --system swarm --kill 1@50% --size 64MiB
  sweep.py --system mine='python3 server.py {file}','python3 client.py {server} {out}'
  sweep.py --system direct,static,swarm --peers 8,32 --size 1MiB,16MiB --bw 5,50
  sweep.py --resume sweeps/20260101-120000
"""
DEFAULTS = {"system": "direct,static,swarm", "size": "10MiB", "bw": "100", "repeat": "5", "hosts": "2-14"}
PRESETS: Dict[str, Dict[str, str]] = {
    "sweep": {},
    "report": {"system": "direct,static-one,swarm", "bw": "100,none"},
    "single": {"system": "direct,static-one,swarm", "repeat": "1"},
}
GRID = ("hosts", "peers", "system", "size", "bw", "repeat", "uplinks", "links", "origins", "seeder", "kill", "freeze",
        "join", "hostile", "topology", "trunk", "queue", "delay", "loss", "cc", "switch", "longest", "seed", "check",
        "out")


class Wrong(Exception):
    """What the user must change, in one line."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Breaks no name at its hyphens."""

    def _split_lines(self, text: str, width: int) -> List[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Wrong(message)


def parser() -> Parser:
    p = Parser(prog="sweep.py", description="Measure how long it takes to put a file on every host.",
               epilog=EPILOG, formatter_class=Help, allow_abbrev=False)
    n = p.add_mutually_exclusive_group()
    n.add_argument("--hosts", metavar="LIST", help="hosts, the origin among them, like 2-14 (default)")
    n.add_argument("--peers", metavar="LIST", help="peers, the origin not among them, like 1,2,4,8")
    p.add_argument("--system", metavar="LIST", help="of " + ", ".join(registry.systems()) + ", or programs of your "
                   "own: NAME='SERVER','CLIENT' (default direct,static,swarm)")
    p.add_argument("--size", metavar="LIST", help="of the file, or of several (default 10MiB)")
    p.add_argument("--bw", metavar="LIST", help="of every link, both ways, in Mbit/s; none: as fast as the machine "
                   "(default 100)")
    p.add_argument("--repeat", metavar="N", help="runs per point (default 5)")
    rates = p.add_mutually_exclusive_group()
    rates.add_argument("--uplinks", metavar="LIST", help="of the peers in Mbit/s, like 100x4,20x4")
    rates.add_argument("--links", metavar="LIST", help="of the peers in Mbit/s, both ways, like 100x4,5x8")
    p.add_argument("--origins", metavar="LIST", help="of the origins in Mbit/s, both ways, like 40x2 (default one, "
                   "as fast as --bw)")
    p.add_argument("--seeder", metavar="MBIT", help="the uplink of one more host, which has the file before the start")
    p.add_argument("--kill", metavar="N@P%", help="kill -9 so many peers once they have P %% of the file")
    p.add_argument("--freeze", metavar="N@P%", help="SIGSTOP so many peers once they have P %% of the file: they "
                   "never go on")
    p.add_argument("--join", metavar="N@P%", help="so many peers come when the others have P %% of the file")
    p.add_argument("--hostile", metavar="KIND:N", help="hostile members: liar (so many more hosts that serve wrong "
                   "bytes), claimer (that claim to have all and send nothing), or so many sessions with every "
                   "daemon that read nothing (mute), say nothing (idle), or send what nobody asked for (drip)")
    p.add_argument("--topology", metavar="NAME", help="of " + ",".join(topology.topologies()) + " (default star)")
    p.add_argument("--trunk", metavar="MBIT", help="between the racks of two-racks (default half of --bw)")
    p.add_argument("--queue", metavar="TIME", help="what the queues of links hold at most, like 50ms "
                   "(default 1000 packets)")
    p.add_argument("--delay", metavar="TIME", help="of every link, one way, like 10ms: hosts are twice that apart")
    p.add_argument("--loss", metavar="P%", help="of the packets on every link, by chance, like 0.1%%")
    p.add_argument("--cc", metavar="NAME", help="TCP congestion control, like cubic or bbr (default the kernel's); "
                   "fanout uses reno below 5 ms")
    p.add_argument("--switch", metavar="NAME", help="bridge (default) or ovs")
    p.add_argument("--check", action=argparse.BooleanOptionalAction, help="pingAll before each network is used")
    p.add_argument("--longest", metavar="TIME", help="leave out points that no system could measure sooner, like 60s")
    p.add_argument("--seed", metavar="N", help="of the order of the runs (default drawn, and recorded)")
    p.add_argument("--out", metavar="DIR", help="results (default sweeps/DATE-TIME)")
    p.add_argument("--resume", metavar="DIR", help="go on with the sweep in DIR; takes all parameters from there")
    p.add_argument("--again", action="store_true", help="with --resume: repeat the runs that processors disturbed")
    p.add_argument("--data", metavar="DIR", help="where the hosts keep their files (default memory, if they fit)")
    p.add_argument("--no-build", action="store_true", help="use bin/ as it is")
    p.add_argument("--no-install", action="store_true", help="do not install missing packages")
    p.add_argument("--no-prometheus", action="store_true", help="measure without Prometheus")
    p.add_argument("--prometheus-port", default=str(prom.PORT), metavar="PORT",
                   help="on the loopback (default 9090, another where that is taken)")
    p.add_argument("--keep-logs", action="store_true", help="of the runs that went well, too")
    return p


def parse(command: str, argv: List[str]) -> argparse.Namespace:
    """The arguments, with the defaults of the command where nothing else was said."""
    args = parser().parse_args(argv)
    args.asked = []
    for name, value in vars(args).items():
        if value == "":  # as of a shell's variable that is not set
            raise Wrong(f"--{name.replace('_', '-')} is empty: give it a value, or leave it out")
    try:
        args.prometheus_port = units.count(args.prometheus_port, "--prometheus-port", 0, 65535)
    except ValueError as e:
        raise Wrong(str(e)) from None
    if args.resume:
        given = [g for g in GRID if getattr(args, g) is not None]
        if given or command != "sweep":
            raise Wrong("--resume takes all parameters from the sweep: leave out "
                        + (f"--{given[0]}" if given else command))
        return args
    if args.again:
        raise Wrong("--again repeats runs of an earlier sweep: name it with --resume DIR")
    for name, value in PRESETS[command].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if command == "single":
        ask(args)
    return args


def ask(args: argparse.Namespace) -> None:
    """What `single` needs to know and was not told."""
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not args.hosts and not args.peers:
        if not terminal:
            raise Wrong("single needs the number of hosts: --hosts N")
        while not args.hosts:
            answer = prompt("Number of hosts, the origin among them (2 or more): ")
            try:
                only_one(units.counts(answer, least=2))
                args.hosts = answer
                args.asked += ["--hosts", answer]
            except (ValueError, Wrong) as e:
                print(e, file=sys.stderr)
    try:
        only_one(units.counts(args.peers) if args.peers else units.counts(args.hosts, least=2))
    except ValueError as e:
        raise Wrong(str(e)) from None
    if args.check is None:
        args.check = terminal and prompt("Let every host ping every other first? [y/N] ").lower() in ("y", "yes")
        args.asked += ["--check"] if args.check else []


def prompt(text: str) -> str:
    print(text, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise Wrong("no answer")
    return answer.strip()


def only_one(found: List[int]) -> None:
    if len(found) != 1:
        raise Wrong("single takes one number of hosts; leave `single` out for several")


def grid(args: argparse.Namespace) -> Dict[str, Any]:
    """The config of a sweep from its arguments: {'points', 'repeat', 'axis', ...}. Pure, but for a drawn seed."""
    def of(name: str) -> str:
        given: Optional[str] = getattr(args, name)
        return given or DEFAULTS[name]

    try:
        chosen, programs = own.parse(of("system"), registry.systems())
        sizes = units.each(of("size"), units.size)
        links = units.each(of("bw"), units.link)
        repeat = units.count(of("repeat"), "--repeat", 1, 1000)
        seed = units.count(args.seed, "--seed", 0, 2**31) if args.seed else random.randrange(2**31)
        longest = units.milliseconds(args.longest, 86_400_000) / 1e3 if args.longest else 0.0
        base = scenario(args, links)
        rates = base["uplinks"] or base["links"]
        if args.peers:
            peers = units.counts(args.peers)
        elif args.hosts or not rates:
            peers = [n - 1 for n in units.counts(of("hosts"), least=2)]
        else:
            peers = [len(rates)]
    except ValueError as e:
        raise Wrong(str(e)) from None
    check_scenario(base, peers)
    known = registry.systems(programs)
    for name in chosen:
        for what in (*plan.EVENTS, "origins", "seeder"):
            if base[what] and what not in known[name].scenarios:
                raise Wrong(f"{name} cannot do --{what}")
        if base["hostile"] and base["hostile"].kind not in known[name].hostile:
            raise Wrong(f"{name} cannot do --hostile {base['hostile'].kind}")
    points = [plan.Point(system=name, peers=n, size=size, bw=bw, **with_trunk(base, bw))
              for size in sizes for bw in links for n in peers for name in chosen]
    if args.longest:
        points = [p for p in points if (bound.for_point(p, known[p.system].kind) or 0.0) <= longest]
        if not points:
            raise Wrong(f"--longest {args.longest} leaves out all points")
    return {"points": [p.as_dict() for p in points], "repeat": repeat, "seed": seed, "check": bool(args.check),
            "programs": {name: list(commands) for name, commands in programs.items()}, "cwd": here(),
            "keep_logs": args.keep_logs, "axis": "peers" if args.peers or rates else "hosts"}


def here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise Wrong("the directory you are in has been removed: cd to another") from None


def scenario(args: argparse.Namespace, links: List[Optional[float]]) -> Dict[str, Any]:
    """What all points have in common, as arguments of plan.Point. ValueError, or Wrong."""
    base: Dict[str, Any] = {
        **{name: tuple(units.rates(getattr(args, name), name)) if getattr(args, name) else None
           for name in plan.RATES},
        **{name: units.event(getattr(args, name)) if getattr(args, name) else None for name in plan.EVENTS},
        "hostile": units.hostile(args.hostile) if args.hostile else None,
        "topology": one(args.topology, topology.topologies(), "topology", "star"),
        "seeder": units.rate(args.seeder) if args.seeder else None,
        "trunk": units.rate(args.trunk) if args.trunk else None,
        "cc": args.cc,
        "switch": one(args.switch, topology.SWITCHES, "switch", "bridge"),
        "queue_ms": units.milliseconds(args.queue) if args.queue else None,
        "delay_ms": units.milliseconds(args.delay) if args.delay else 0.0,
        "loss": units.percent(args.loss) if args.loss else 0.0,
    }
    for name in (*plan.RATES, "seeder", "queue", "topology", "delay", "loss"):
        if None in links and getattr(args, name):
            raise Wrong(f"--{name} needs links with a rate: leave `none` out of --bw")
    return base


def one(text: Optional[str], known: Any, what: str, default: str) -> str:
    found = units.names(text or default, known, what)
    if len(found) != 1:
        raise Wrong(f"--{what}: choose one")
    return found[0]


def with_trunk(base: Dict[str, Any], bw: Optional[float]) -> Dict[str, Any]:
    """Half as fast as the other links, unless told otherwise."""
    if base["topology"] != "two-racks" or bw is None:
        return base
    return {**base, "trunk": base["trunk"] or bw / 2}


def check_scenario(base: Dict[str, Any], peers: List[int]) -> None:
    if base["trunk"] and base["topology"] != "two-racks":
        raise Wrong("--trunk needs --topology two-racks")
    if base["topology"] == "two-racks" and min(peers) < 2:
        raise Wrong("--topology two-racks needs at least 2 peers")
    for name in ("uplinks", "links"):
        rates = base[name]
        if rates and peers != [len(rates)]:
            raise Wrong(f"--{name} names {units.counted(len(rates), 'peer')}, the sweep has "
                        + ",".join(map(str, peers)))
    gone = sum(e.peers for e in (base[name] for name in plan.EVENTS) if e)
    if gone >= min(peers):
        raise Wrong(f"--kill, --freeze and --join take {units.counted(gone, 'peer')}; a point with {min(peers)} would "
                    "have none left that is there from start to end")


def directory_argument(argv: List[str], what: str) -> str:
    """The one directory that a command takes; it must be there."""
    if len(argv) != 1:
        raise Wrong(f"{what} takes one directory")
    if not os.path.isdir(argv[0]):
        raise Wrong(f"{argv[0]}: no such directory")
    return argv[0]
