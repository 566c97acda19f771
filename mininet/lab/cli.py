"""The commands of sweep.py. What goes wrong is one line, whatever it is that the user can mend."""

import argparse
import datetime
import json
import os
import shlex
import signal
import socket
import sys
from typing import Any, Callable, Dict, List, Optional, Type

from . import doctor, driver, machine, options, ovs, plots, prom, registry, results, space, units
from .checks import REPO, check_machine, check_programs, choose_data, install
from .options import Wrong
from .pulse import say
from .systems import System


def results_dir(args: argparse.Namespace) -> str:
    """The directory, made, and known to be writable; Wrong where there is a sweep already."""
    path: str = args.out or os.path.join(REPO, "sweeps", datetime.datetime.now().strftime("%Y%m%d-%H%M%S"))
    if os.path.exists(os.path.join(path, results.CONFIG)):
        raise Wrong(f"{path} has a sweep already: go on with --resume {path}, or choose another --out")
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".probe")
        with open(probe, "w", encoding="ascii") as f:
            f.write("x")
        os.unlink(probe)
    except OSError as e:
        raise Wrong(f"results directory {path}: {e.strerror}") from None
    return path


def load_config(directory: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(directory, results.CONFIG), encoding="utf-8") as f:
            config: Dict[str, Any] = json.load(f)
            return config
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, PermissionError) else f"{results.CONFIG} is missing or broken"
        raise Wrong(f"{directory}: no sweep there ({why})") from None


def sweep(command: str, argv: List[str]) -> int:
    args = options.parse(command, argv)
    if args.resume:
        config = load_config(args.resume)
    else:
        config = options.grid(args)
        config["command"] = shlex.join(["sweep.py", *([command] if command != "sweep" else []), *argv])
    check_machine(config)
    data = choose_data(config, args.data)
    directory = args.resume or results_dir(args)
    try:
        install(args.no_install)
        check_programs(config, known_systems(config), not args.no_build)
        lock = machine.Lock()
        if not lock.take(wait=False):
            say(f"another sweep is running (process {lock.holder()}); waiting for it to end")
            lock.take(wait=True)
            if not args.resume:
                args.out = directory
                results_dir(args)  # the other one may have been for the same directory
        status = carry_out(args, config, data, directory)
    finally:
        if not os.listdir(directory):
            os.rmdir(directory)  # nothing came of it
        machine.give_back(directory)
        machine.give_back(os.path.join(REPO, "bin"))
    if command == "single" and status <= 1:
        print(results.table(results.rows(results.load(directory), config)))
    return status


def known_systems(config: Dict[str, Any]) -> Dict[str, Type[System]]:
    return registry.systems(config.get("programs"), config.get("cwd"))


def carry_out(args: argparse.Namespace, config: Dict[str, Any], data: Optional[str], directory: str) -> int:
    """All that changes the machine, and puts it back."""
    if config["points"][0]["switch"] == "ovs" and ovs.note():
        say(f"note: {ovs.note()}")
    outside = None if args.no_prometheus else prom.listen(args.prometheus_port)
    where = space.MEMORY
    if data:
        machine.remove(machine.forgotten(data))
        where = machine.make_data_dir(data)
    try:
        with machine.Limits(config["points"][0]["cc"]):
            status = space.enter(lambda: guarded(lambda: measure(args, config, where, directory, outside)))
        if status == 128 + signal.SIGKILL:
            say(f"the sweep was killed (out of memory?); go on with: {resume(directory)}")
        return status
    except PermissionError as e:
        raise Wrong(f"{e}: this machine gives no network of its own to a sweep; see `sweep.py doctor`") from None
    finally:
        if data:
            machine.remove([where])
        if outside:
            outside.close()


def resume(directory: str) -> str:
    return f"sweep.py --resume {shlex.quote(directory)}"


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
        say(f"\nstopped; go on with: {resume(directory)}")
        return e.status
    except driver.Unwritable as e:
        raise Wrong(f"{e}; make room, and go on with: {resume(directory)}") from None
    summary = os.path.join(directory, results.SUMMARY_MD)
    try:
        print(summary, flush=True)
    except OSError as e:
        say(f"{summary} (standard output: {e.strerror})")
    if failed:
        say(f"{failed} run{'s' if failed != 1 else ''} failed; logs are in {directory}/logs")
    return 1 if failed else 0


def plot(argv: List[str]) -> int:
    directory = options.directory_argument(argv, "plot")
    config = load_config(directory)
    with driver.writing(directory):
        results.write(directory, config)
        files = plots.draw(directory, config)
    machine.give_back(directory)
    if not files:
        raise Wrong(f"{directory}: no run has succeeded, nothing to draw")
    print("\n".join(f for f in files if f.endswith(".png")))
    return 0


def tables(argv: List[str]) -> int:
    if not argv:
        raise Wrong("tables takes directories")
    for directory in argv:
        config, records = load_config(directory), results.load(directory)
        if records:
            print(results.section(os.path.basename(os.path.abspath(directory)), config, records))
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
    except OSError as e:
        if not e.strerror:
            raise
        say(f"sweep.py: {e.filename or 'standard output'}: {e.strerror}")
        return 2
    except driver.Unwritable as e:
        say(f"sweep.py: {e}")
        return 2
    except space.Stopped as e:
        say("\nstopped")
        return e.status


def main(argv: Optional[List[str]] = None) -> int:
    given: List[str] = sys.argv[1:] if argv is None else argv
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, space.stop_once)
    return guarded(lambda: command_of(given)())
