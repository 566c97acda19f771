"""Starts real sweeps, and looks for what they leave. For tests that need root and Linux."""

import os
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

from lab import REPO, machine, space

SWEEP = os.path.join(REPO, "mininet", "sweep.py")
HANGS = 1800  # seconds; no verdict on the machine's speed: what hangs is ended, with its stacks
MARK = "FANOUT_LAB_TEST"
_mark = uuid.uuid4().hex


def reason():
    if not sys.platform.startswith("linux"):
        return "the lab needs Linux"
    if os.geteuid() != 0:
        return "the lab needs root"
    setup = os.path.join(REPO, "mininet", "setup.sh")
    missing = subprocess.run([setup, "--check"], capture_output=True, text=True, check=False)
    return f"the lab misses {missing.stdout.strip()}: run mininet/setup.sh" if missing.returncode else None


needs_lab = pytest.mark.skipif(reason() is not None, reason=str(reason()))


def daemons_missing():
    return any(not os.access(os.path.join(REPO, "bin", d), os.X_OK) for d in ("tracker", "origin", "peerd", "liar"))


class Sweep(subprocess.Popen):
    """Ends with its test: a test that fails would wait here for all that the sweep was to measure."""

    def __exit__(self, kind, error, trace):
        if error is not None:
            self.kill()
        super().__exit__(kind, error, trace)


def begin(*argv, before=(), env=None, terminal=None, command=None):
    """A sweep that has been started. With a terminal, it is its session's leader, as a shell's child would be."""
    args = [*before, sys.executable, "-X", "faulthandler", SWEEP, *([command] if command else []),
            "--no-install", "--no-build", *argv]
    err = tempfile.TemporaryFile("w+")
    p = Sweep(args, text=True, env={**os.environ, MARK: _mark, **(env or {})},
              stdin=subprocess.DEVNULL if terminal is None else terminal,
              stdout=subprocess.PIPE if terminal is None else terminal,
              stderr=err if terminal is None else terminal,
              start_new_session=terminal is not None,
              preexec_fn=None if terminal is None else controlling)
    p.errors = err
    return p


def controlling():
    import fcntl
    import termios
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def end(p):
    """(what it printed, what it said) once it has ended."""
    try:
        out, _ = p.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        p.kill()
        pytest.fail(f"{p.args} hangs:\n{said(p)}")
    return out, said(p)


def said(p):
    p.errors.seek(0)
    return p.errors.read()


def sweep(*argv, **how):
    with begin(*argv, **how) as p:
        out, err = end(p)
    return subprocess.CompletedProcess(p.args, p.returncode, out, err)


def wait_for(what, condition, p):
    limit = time.monotonic() + HANGS
    while not condition():
        if p.poll() is not None or time.monotonic() > limit:
            pytest.fail(f"{what} did not happen: {said(p)}")
        time.sleep(0.02)


def wait_for_text(p, text):
    wait_for(repr(text), lambda: text in said(p), p)


def with_processes(p, text, least):
    """Until so many processes of our sweeps have the text in their command line."""
    wait_for(f"{least} processes {text!r}", lambda: sum(text in line for line in ours().values()) >= least, p)


def ours():
    """{pid: command line} of all that this test run's sweeps have started."""
    found = {}
    for pid in (p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"{MARK}={_mark}".encode() not in f.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                found[pid] = f.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if line}  # a zombie has none


def assert_nothing_left():
    """No process, no interface, no file. The kernel may still be at it for a moment."""
    limit = time.monotonic() + 60
    while ours() and time.monotonic() < limit:
        time.sleep(0.02)
    assert ours() == {}
    names = os.listdir("/sys/class/net")
    assert not [n for n in names if n.startswith(("s1", "h1", "root-", "tracker-"))], names
    assert os.listdir(space.MEMORY) == [] and machine.forgotten("/tmp") == []


def own_network(body, *argv):
    """Runs Python code in a network of its own, with the lab on its path."""
    code = "import os, sys\nfrom lab import space\ndef main():\n" + "".join(
        f"    {line}\n" for line in body.strip().splitlines()) + "    return 0\nsys.exit(space.enter(main))\n"
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=HANGS,
                          check=False, env={**os.environ, "PYTHONPATH": os.path.join(REPO, "mininet"), MARK: _mark})
