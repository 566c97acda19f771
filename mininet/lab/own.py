"""A user's own programs as a system, named on the command line:

    --system mine='python3 server.py {file}','python3 client.py {server} {out}',swarm

The shell takes the outer quotes away, and what arrives is a list with commas: `NAME=` begins a system
of one's own, whose first command is the server's and whose second the client's. A comma within quotes
belongs to its command: --system "mine=./serve '{file},v1',./fetch {server} {out}".

The server runs on the origin and a client on every peer, as ordinary programs in the directory that the
sweep was started in. The server is ready when it listens; a client has finished when it ends with status 0,
and must then have put the file at {out}. A system is client/server, unless one of its commands mentions
{peers}: then it is peer-to-peer, is compared with that bound, and a peer has finished as soon as the whole
file is at {out} (looked for every 20 ms), so that it may go on to serve the others.
"""

import ipaddress
import os
import re
import shlex
import signal
import sys
import time
from typing import Any, Callable, Collection, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Type

from .procs import Proc, tail, which
from .systems import Bench, Finish, System, alive, same

SERVER = {"file": "the file to send", "name": "its name without directories", "server": "the origin's address",
          "me": "the own address", "peers": "the addresses of all peers, with commas between",
          "n": "how many peers there are"}
CLIENT = {**{k: v for k, v in SERVER.items() if k != "file"}, "out": "where to put the file"}
READY = 15.0     # seconds a server has to listen
LOOK = 0.02      # seconds between two looks for a peer-to-peer client's file
LAST_WORDS = 2.0  # seconds that a program has to finish what it says
CHATTER = 64 << 20  # bytes that a program may print: it must not fill the disk, nor be measured printing
LISTEN = "0A"    # a TCP socket's state in /proc/net/tcp
UNCONNECTED = "07"  # a UDP socket's that receives from anyone
INTERPRETERS = re.compile(r"python[\d.]*|bash|dash|sh|node|perl|ruby|php")
# What a program prints must be in its log when it dies, and root leaves no __pycache__ beside a user's scripts.
ENV = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,29}")
_DEFINITION = re.compile(r"\s*[A-Za-z][A-Za-z0-9_-]*=.*", re.S)
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Own(NamedTuple):
    """A system's two commands, as they were typed."""
    server: str
    client: str


class Socket(NamedTuple):
    """One that waits for peers: a listening TCP or a bound UDP socket."""
    inode: str
    local: bool   # only programs on the same host can reach it


def parse(text: str, known: Collection[str]) -> Tuple[List[str], Dict[str, Own]]:
    """A --system argument -> (names in order, each once; those of them that it defines). Pure.

    known are the systems that there are anyway. ValueError names what is wrong, and the remedy.
    """
    names: List[str] = []
    found: Dict[str, Own] = {}
    items = iter(split(text))
    for item in items:
        name, defines, server = item.partition("=")
        name = name.strip()
        if defines:
            check_name(name, known)
            if name in found:
                raise ValueError(f"system {name!r} is defined twice: give one of them another name")
            found[name] = own(name, server, next(items, ""), known)
        elif name not in known and name not in found:
            raise ValueError(f"unknown system {name!r}; known are {', '.join(known)}, "
                             "or define one: NAME='SERVER COMMAND','CLIENT COMMAND'")
        if name not in names:
            names.append(name)
    return names, found


def split(text: str) -> List[str]:
    """Cut at the commas that no quotes and no backslash protect. Pure."""
    parts, part, quote = [], "", ""
    chars = iter(text)
    for c in chars:
        if c == "\\" and quote != "'":
            part += c + next(chars, "")
            continue
        if c in "'\"" and quote in ("", c):
            quote = "" if quote else c
        if c == "," and not quote:
            parts.append(part)
            part = ""
        else:
            part += c
    if quote:
        raise ValueError(f"{part.strip()!r}: a {quote} is opened and never closed: close it, or write \\{quote}")
    return [*parts, part]


def check_name(name: str, known: Collection[str]) -> None:
    """ValueError unless a new system may be called so: its name is part of file names."""
    if name in known:
        raise ValueError(f"{name!r} is a system of the lab already: give yours another name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"system name {name!r}: expected a letter, then at most 29 letters, digits, - or _")


def own(name: str, server: str, client: str, known: Collection[str] = ()) -> Own:
    """Both commands, checked; ValueError where one is missing or could not be filled in. Pure."""
    server, client = unquoted(server), unquoted(client)
    if not server.strip():
        raise ValueError(f"the server command of {name} is empty: {name}='SERVER COMMAND','CLIENT COMMAND'")
    if not client.strip() or client.strip() in known or _DEFINITION.fullmatch(client):
        raise ValueError(f"{name} has no client: its command follows the server's after a comma, "
                         f"{name}='{server.strip()}','CLIENT COMMAND'")
    check_command(f"server of {name}", server, SERVER)
    if "out" not in check_command(f"client of {name}", client, CLIENT):
        raise ValueError(f"client of {name}: without {{out}} in its command it cannot know where to put the file")
    return Own(server.strip(), client.strip())


def unquoted(command: str) -> str:
    """A command without the quotes around all of it, which a shell leaves where the argument had others outside."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    return words[0] if len(words) == 1 and " " in words[0] else command


def check_command(whose: str, command: str, known: Dict[str, str]) -> Set[str]:
    """The placeholders in a command; ValueError where it cannot be used. Pure."""
    try:
        argv = shlex.split(command)
    except ValueError:
        raise ValueError(f"{whose}: unbalanced quotes or a last backslash in {command.strip()!r}") from None
    if not argv or not argv[0]:
        raise ValueError(f"{whose}: no program in {command.strip()!r}")
    try:
        return set().union(*(placeholders(a, known) for a in argv))
    except ValueError as e:
        raise ValueError(f"{whose}: {e}") from None


def placeholders(text: str, known: Dict[str, str]) -> Set[str]:
    """Which placeholders an argument has; ValueError at an unknown one. Pure."""
    used = set()
    for m in _PLACEHOLDER.finditer(text):
        if m[0] in ("{{", "}}"):
            continue
        if m[1] not in known:
            raise ValueError(f"unknown placeholder {m[0]}; known are {' '.join('{%s}' % k for k in known)}, "
                             "and {{ }} for braces")
        used.add(m[1])
    return used


def fill(command: str, values: Dict[str, str]) -> List[str]:
    """The arguments of a command: split first, then filled in, so that blanks in a value do no harm. Pure."""
    def value(m: "re.Match[str]") -> str:
        return m[0][0] if m[1] is None else values[m[1]]
    return [_PLACEHOLDER.sub(value, a) for a in shlex.split(command)]


def is_p2p(server: str, client: str) -> bool:
    """Whether the programs are told about the peers, and so can send to each other. Pure."""
    return "peers" in check_command("server", server, SERVER) | check_command("client", client, CLIENT)


def script(argv: Sequence[str]) -> Optional[str]:
    """The file that an interpreter in argv is to run, where one is named. Pure."""
    if not INTERPRETERS.fullmatch(os.path.basename(argv[0])):
        return None
    rest = iter(argv[1:])
    for a in rest:
        if a in ("-c", "-e", "-m"):
            return None
        if a in ("-W", "-X"):
            next(rest, "")
        elif not a.startswith("-"):
            return a
    return None


def label(command: str) -> str:
    """What to call a program in messages and log files: 'python3 a/server.py x' -> 'server.py'. Pure."""
    argv = shlex.split(command)
    return os.path.basename(script(argv) or argv[0]) or "program"


def program_problem(whose: str, command: str, cwd: str,
                    find: Callable[[str], Optional[str]] = which) -> Optional[str]:
    """Why a command cannot start in cwd, or None."""
    argv = shlex.split(command)
    program, file = argv[0], script(argv)
    if _PLACEHOLDER.search(program):
        return None
    path = os.path.join(cwd, program)
    if not find(path if "/" in program else program):
        if os.path.isfile(path):
            why = f"; it is not executable: chmod +x {program}" if "/" in program else f"; did you mean ./{program}?"
        else:
            why = f" in {cwd}: start the sweep where it is" if "/" in program else ": install it, or give its path"
        return f"{whose}: found no program {program}{why}"
    if file and not _PLACEHOLDER.search(file) and not os.path.isfile(os.path.join(cwd, file)):
        return f"{whose}: found no {file} in {cwd}: start the sweep where it is, or give its whole path"
    return None


def sockets(read: Callable[[str], str]) -> Set[Socket]:
    """Who waits for peers, from /proc/PID/net/{tcp,udp}{,6}, which read(name) returns. Pure."""
    found = set()
    for file, state in (("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        try:
            lines = read(file).splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for f in (line.split() for line in lines):
            if len(f) > 9 and f[3] == state:
                found.add(Socket(f"{file}:{f[9]}", address(f[1].partition(":")[0]).is_loopback))
    return found


def address(text: str) -> Any:
    """An address as /proc/net/tcp has it, in 32-bit words of the machine's byte order. Pure."""
    raw = b"".join(int(text[i:i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(text), 8))
    found = ipaddress.ip_address(raw)
    return getattr(found, "ipv4_mapped", None) or found


class OwnSystem(System):
    """What all systems of one's own share; make_class adds the commands."""
    server = client = cwd = ""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._clients: Dict[Any, Proc] = {}
        self._server: Optional[Proc] = None

    @classmethod
    def problem(cls, repo: str) -> Optional[str]:
        """Why it cannot run here, in one line, or None."""
        if not os.path.isdir(cls.cwd):
            return f"{cls.name}: the directory {cls.cwd}, in which its programs ran, is gone"
        return (program_problem(f"server of {cls.name}", cls.server, cls.cwd)
                or program_problem(f"client of {cls.name}", cls.client, cls.cwd))

    def _values(self, host: Any) -> Dict[str, str]:
        b = self.bench
        return {"file": b.file, "name": b.file_name, "server": b.origin.ip, "me": host.ip,
                "peers": ",".join(p.ip for p in b.peers), "n": str(len(b.peers)), "out": self._out(host)}

    def _out(self, host: Any) -> str:
        return os.path.join(self.bench.dir_of(host), self.bench.file_name)

    def _start(self, host: Any, command: str) -> Proc:
        argv = fill(command, self._values(host))
        if "/" in argv[0]:
            argv[0] = os.path.join(self.cwd, argv[0])
        return self.bench.procs.start(host, label(command), argv, cwd=self.cwd, env=ENV)

    def setup(self) -> None:
        """Start the server; returns once it listens."""
        origin = self.bench.origin
        before = sockets(origin.proc_net)  # of another program, of an earlier run
        self._server = server = self._start(origin, self.server)
        deadline = time.monotonic() + READY
        while True:
            alive(server)
            check_log(server)
            new = sockets(origin.proc_net) - before
            if not all(s.local for s in new):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(silent(self.name, origin.name, bool(new), tail(server.log, 1)))
            time.sleep(0.02)

    def start(self, peer: Any) -> None:
        """A client begins with its download; there is nothing to bring up before."""
        self._clients[peer] = self._start(peer, self.client)

    def wait(self, peer: Any, deadline: float) -> Finish:
        """Until the client has ended or, peer-to-peer, has the file."""
        proc, out = self._clients[peer], self._out(peer)
        status, pause, at = None, LOOK, None
        while status is None:
            seen = time.monotonic()
            if self.kind == "p2p" and file_size(out) == self.bench.point.size and same(out, self.bench.file):
                at = seen
                break
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("not complete in time")
            if self.kind == "p2p" and file_size(out) == self.bench.point.size:
                pause = min(1.0, 1.2 * pause)  # it has holes still, and comparing costs processor time
            status = proc.wait(min(left, pause if self.kind == "p2p" else 1.0))
            for program in filter(None, (proc, self._server)):
                check_log(program)
        if status:
            alive(proc)
        have, size = file_size(out), self.bench.point.size
        if have != size:
            why = f"put no file at {out}" if have is None else f"its file has {have} bytes instead of {size}"
            raise RuntimeError(f"{proc.role} on {peer.name} ended with status 0, but {why}{self._said(proc)}")
        return Finish(out, at=at)

    def _said(self, client: Proc) -> str:
        """The last line in the client's log or, where that is empty, in the server's."""
        for proc in filter(None, (client, self._server)):
            line, until = tail(proc.log, 1), time.monotonic() + LAST_WORDS
            while line.startswith(" ") and time.monotonic() < until:  # in the middle of what it says, as a traceback
                time.sleep(LOOK)
                line = tail(proc.log, 1)
            if line:
                return f"; {proc.role} said: {line}"
        return ""


def check_log(proc: Proc) -> None:
    """Ends a program that prints without end, and says so."""
    if os.path.getsize(proc.log) <= CHATTER:
        return
    proc.signal(signal.SIGKILL)
    proc.wait(LAST_WORDS)
    os.truncate(proc.log, CHATTER)
    raise RuntimeError(f"{proc.role} on {proc.host.name} printed more than {CHATTER >> 20} MiB")


def file_size(path: str) -> Optional[int]:
    """In bytes; None where there is no file."""
    try:
        return os.path.getsize(path) if os.path.isfile(path) else None
    except OSError:
        return None


def silent(name: str, host: str, only_local: bool, last: str) -> str:
    """What to say of a server that no peer can reach. Pure."""
    why = (f"{name}'s server on {host} listens on the loopback only: let it listen on 0.0.0.0 or {{me}}"
           if only_local else f"{name}'s server on {host} listens on no port after {READY:g} s")
    return why + (f"; its last line: {last}" if last else "")


def make_class(name: str, server: str, client: str, cwd: Optional[str] = None) -> Type[OwnSystem]:
    """The system of that name; cwd (by default the present one) is where its programs run."""
    checked = own(name, server, client)
    return type(f"Own_{name}", (OwnSystem,), {
        "name": name, "title": name, "server": checked.server, "client": checked.client,
        "kind": "p2p" if is_p2p(*checked) else "client-server", "cwd": os.path.abspath(cwd or os.getcwd()),
        "__doc__": f"{checked.server} | {checked.client}"})
