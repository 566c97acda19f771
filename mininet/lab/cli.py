"""The commands of sweep.py. What goes wrong is one line, whatever it is that the user can mend."""

import argparse
import datetime
import io
import json
import os
import shlex
import signal
import socket
import sys
import tempfile
from typing import Any, Callable, Dict, List, Optional, Tuple, Type

from . import (REPO, bound, doctor, driver, machine, options, ovs, plan, plots, prom, registry, results, space,
               topology, units)
from .checks import check_machine, check_programs, choose_data, install
from .options import Wrong
from .pulse import say, show
from .systems import System


def check_out(path: str) -> None:
    """Wrong where there is something already, or nothing can be kept. Changes nothing: another sweep may be at it."""
    if os.path.exists(os.path.join(path, results.CONFIG)):
        raise Wrong(f"{path} has a sweep already: go on with --resume {shlex.quote(path)}, or choose another --out")
    above = missing(path)
    try:
        if not above and os.listdir(path):
            raise Wrong(f"{path} is not empty, and results are not put among other files: choose another --out")
        with tempfile.TemporaryFile(dir=os.path.dirname(above[-1]) if above else path) as f:
            f.write(b"x")
    except OSError as e:
        raise Wrong(f"results directory {path}: {e.strerror}") from None


def missing(path: str) -> List[str]:
    """The path, and the directories above it, as far as they are not there yet."""
    path, found = os.path.abspath(path), []
    while not os.path.exists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def load_config(directory: str) -> Dict[str, Any]:
    """What the sweep in a directory consists of; Wrong where that cannot be known."""
    try:
        with open(os.path.join(directory, results.CONFIG), encoding="utf-8") as f:
            config: Dict[str, Any] = json.load(f)
        points = [plan.Point.from_dict(p) for p in config["points"]]
        known, _ = known_systems(config), int(config["repeat"])
        for p in points:
            bound.for_point(p, known[p.system].kind)
            if not (isinstance(p.size, int) and p.size > 0 and p.switch in topology.SWITCHES
                    and p.topology in topology.topologies()
                    and len(p.peer_uplinks()) == len(p.peer_downlinks()) == p.peers > 0):
                raise ValueError(f"no such experiment: {p}")
        if not points or len(set(points)) < len(points) or int(config["repeat"]) < 1:
            raise ValueError("no points, the same one twice, or no runs")
        if not isinstance(config.get("seed", 0), int):
            raise ValueError(f"seed {config['seed']} is not a number")
        return config
    except FileNotFoundError:
        raise Wrong(f"{directory}: no sweep there ({results.CONFIG} is missing)") from None
    except PermissionError as e:
        raise Wrong(f"{e.filename}: {e.strerror}") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as e:
        raise Wrong(f"{directory}: {results.CONFIG} is broken ({type(e).__name__}: {e})") from None


def sweep(command: str, argv: List[str]) -> int:
    args = options.parse(command, argv)
    if args.resume:
        config = load_config(args.resume)
        config["keep_logs"] = args.keep_logs or config.get("keep_logs", False)
    else:
        config = options.grid(args)
        config["command"] = shlex.join(["sweep.py", *([command] if command != "sweep" else []), *argv, *args.asked])
        config["prometheus"] = not args.no_prometheus
    check_machine(config)
    data = choose_data(config, args.data)
    directory: str = args.resume or args.out or os.path.join(
        REPO, "sweeps", datetime.datetime.now().strftime("%Y%m%d-%H%M%S"))
    if not args.resume:
        check_out(directory)
    try:
        install(args.no_install)
        check_programs(config, known_systems(config), not args.no_build)
    finally:
        if not args.no_build:
            programs = os.path.join(REPO, "bin")
            machine.give(machine.owner(REPO), programs, *machine.inside(programs))
    lock = machine.Lock()  # until the end of this function
    if not lock.take(wait=False):
        say(f"another sweep is running (process {lock.holder()}); waiting for it to end")
        lock.take(wait=True)
        data = choose_data(config, args.data)  # the other one's files are gone
    if args.resume:
        load_config(directory)  # it may be gone by now
    else:
        check_out(directory)  # another one may have been for the same directory
    made = missing(directory)
    try:
        with driver.writing(directory):
            os.makedirs(directory, exist_ok=True)
        status = carry_out(args, config, data, directory)
    finally:
        for path in made:
            if os.path.isdir(path) and not os.listdir(path):
                os.rmdir(path)  # nothing came of it
        machine.give(machine.caller(), *made)
        give_to_owner(directory, None if args.resume else machine.caller())
    if command == "single" and status <= 1:
        show(results.table(results.rows(results.load(directory), config)))
    return status


def give_to_owner(directory: str, instead: Optional[Tuple[int, int]] = None) -> None:
    """What root has put in a directory belongs to the directory's owner, or to another instead."""
    if os.path.isdir(directory):
        machine.give(instead or machine.owner(directory), *machine.inside(directory))


def known_systems(config: Dict[str, Any]) -> Dict[str, Type[System]]:
    return registry.systems(config.get("programs"), config.get("cwd"))


def carry_out(args: argparse.Namespace, config: Dict[str, Any], data: Optional[str], directory: str) -> int:
    """All that changes the machine, and puts it back."""
    if config["points"][0]["switch"] == "ovs" and ovs.note():
        say(f"note: {ovs.note()}")
    watched = config.get("prometheus", True) and not args.no_prometheus
    outside = None if not watched else prom.listen(args.prometheus_port)
    where = space.MEMORY
    if data:
        machine.remove(machine.forgotten(data))
        where = machine.make_data_dir(data)
    try:
        with machine.Limits(config["points"][0]["cc"]):
            status = space.enter(lambda: guarded(lambda: measure(args, config, where, directory, outside)))
        if status == 128 + signal.SIGKILL:
            say(f"the sweep was killed (out of memory?){go_on(directory)}")
        return status
    except space.Stopped as e:
        say(f"\nstopped{go_on(directory)}")
        return e.status
    except PermissionError as e:
        raise Wrong(f"{e}: this machine gives no network of its own to a sweep; see `sweep.py doctor`") from None
    finally:
        if data:
            machine.remove([where])
        if outside:
            outside.close()


def go_on(directory: str, first: str = "") -> str:
    """What can be done next, to end a line with: nothing where there is no sweep to go on with."""
    if not os.path.exists(os.path.join(directory, results.CONFIG)):
        return ""
    return f"; {first}go on with: sweep.py --resume {shlex.quote(directory)}"


def measure(args: argparse.Namespace, config: Dict[str, Any], data: str, directory: str,
            outside: Optional[socket.socket]) -> int:
    """What runs in the sweep's own namespaces."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            del os.environ[name]  # no proxy of the machine's can be reached from there
    try:
        if not args.resume:
            with driver.writing(directory), open(os.path.join(directory, results.CONFIG), "w", encoding="utf-8") as f:
                json.dump(config, f, indent=1)
        failed = driver.Sweep(directory, config, REPO, data, known_systems(config), outside, args.again).go()
    except space.Stopped as e:
        say(f"\nstopped{go_on(directory)}")
        return e.status
    except prom.PrometheusError as e:
        raise Wrong(f"{e}; leave it out with --no-prometheus") from None
    except driver.Unwritable as e:
        raise Wrong(f"{e}{go_on(directory, 'make room, and ')}") from None
    summary = os.path.join(directory, results.SUMMARY_MD)
    try:
        show(summary)
    except OSError as e:
        say(f"{summary} ({e.filename}: {e.strerror})")
    if failed:
        say(f"{units.counted(failed, 'run')} failed; logs are in {directory}/logs")
    return 1 if failed else 0


def plot(argv: List[str]) -> int:
    directory = options.directory_argument(argv, "plot")
    config = load_config(directory)
    with driver.writing(directory):
        results.write(directory, config)
        files = plots.draw(directory, config)
    give_to_owner(directory)
    if not files:
        raise Wrong(f"{directory}: no run has succeeded, nothing to draw")
    show("\n".join(f for f in files if f.endswith(".png")))
    return 0


def tables(argv: List[str]) -> int:
    if not argv:
        raise Wrong("tables takes directories")
    for directory in argv:
        config, records = load_config(directory), results.load(directory)
        if records:
            show(results.section(os.path.basename(os.path.abspath(directory)), config, records))
        else:
            say(f"{directory}: no run has ended yet")
    return 0


def reopen(argv: List[str]) -> int:
    if not 1 <= len(argv) <= 2:
        raise Wrong("prom takes a directory and, if you like, a port")
    try:
        prom.reopen(argv[0], units.count(argv[1], "port", 0, 65535) if len(argv) > 1 else prom.PORT)
    except ValueError as e:
        raise Wrong(str(e)) from None
    return 0


COMMANDS: Dict[str, Callable[[List[str]], int]] = {
    "doctor": doctor.main, "plot": plot, "tables": tables, "prom": reopen}


def command_of(argv: List[str]) -> Callable[[], int]:
    if argv and argv[0] in COMMANDS and {"-h", "--help"} & set(argv[1:]):
        return lambda: sweep("sweep", ["--help"])
    if argv and argv[0] in COMMANDS:
        return lambda: COMMANDS[argv[0]](argv[1:])
    if argv and argv[0] in options.PRESETS:
        return lambda: sweep(argv[0], argv[1:])
    if argv and not argv[0].startswith("-"):
        known = ", ".join([*(c for c in options.PRESETS if c != "sweep"), *COMMANDS])
        raise Wrong(f"unknown command {argv[0]!r}; known are {known}")
    return lambda: sweep("sweep", argv)


def guarded(work: Callable[[], int]) -> int:
    """The exit status of work. What the user can mend is said in a line; a fault of ours has its traceback."""
    try:
        return work()
    except Wrong as e:
        say(f"sweep.py: {e}")
        return 2
    except BrokenPipeError:  # as of `| head`: what was wanted has been read
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except OSError as e:
        if not e.strerror:
            raise
        say(f"sweep.py: {e.filename}: {e.strerror}" if e.filename else f"sweep.py: {e.strerror}")
        return 2
    except driver.Unwritable as e:
        say(f"sweep.py: {e}")
        return 2
    except space.Stopped as e:
        say("\nstopped")
        return e.status


def open_all() -> None:
    """Whoever closed standard input, output or error gets /dev/null there, not the next file that is opened."""
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, closefd=False))  # noqa: SIM115 - as long as the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # like standard error: names of files need not be text


def main(argv: Optional[List[str]] = None) -> int:
    open_all()
    given: List[str] = sys.argv[1:] if argv is None else argv
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/bin:/bin:/usr/sbin:/sbin"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, space.stop_once)
    return guarded(lambda: command_of(given)())
