import json
import os
import random
import shlex
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List, Optional

import pytest

from lab import own, procs, registry

KNOWN = ("swarm", "nginx")
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples")
SERVER, CLIENT = "python3 server.py {file}", "python3 client.py {server} {out}"
MINE = f"mine={SERVER},{CLIENT}"


# What people type

@pytest.mark.parametrize("text, names, found", [
    ("swarm", ["swarm"], {}),
    (" swarm , nginx,swarm", ["swarm", "nginx"], {}),
    (MINE, ["mine"], {"mine": (SERVER, CLIENT)}),
    (f"swarm,{MINE},nginx", ["swarm", "mine", "nginx"], {"mine": (SERVER, CLIENT)}),
    (f"{MINE},swarm,mine", ["mine", "swarm"], {"mine": (SERVER, CLIENT)}),
    (f"{MINE},b-2=./s,./c {{out}}", ["mine", "b-2"], {"mine": (SERVER, CLIENT), "b-2": ("./s", "./c {out}")}),
    ("a=s 'x,y' \"z,z\",c {out},nginx", ["a", "nginx"], {"a": ("s 'x,y' \"z,z\"", "c {out}")}),
    ("a=s --x=1,2c --to={out}", ["a"], {"a": ("s --x=1", "2c --to={out}")}),
    (r"a=s x\,y,c {out}", ["a"], {"a": (r"s x\,y", "c {out}")}),
    ("a=s \"it's\",c {out}", ["a"], {"a": ("s \"it's\"", "c {out}")}),
    ("a=awk '{{print}}',c {out}", ["a"], {"a": ("awk '{{print}}'", "c {out}")}),
])
def test_own_systems_stand_in_a_list_with_others(text: str, names: List[str], found: Dict[str, Any]) -> None:
    assert own.parse(text, KNOWN) == (names, found)


@pytest.mark.parametrize("text, words", [
    ("a=s", ["a has no client", "a='s','CLIENT COMMAND'"]),
    ("a=s,", ["a has no client"]),
    ("a=s,nginx", ["a has no client"]),
    ("a=s,b=t,c {out}", ["a has no client"]),
    ("a=,c {out}", ["server command of a is empty"]),
    ("swarm=s,c {out}", ["'swarm' is a system of the lab already", "another name"]),
    ("1a=s,c {out}", ["'1a'", "a letter"]),
    ("my own=s,c {out}", ["'my own'", "a letter"]),
    ("../a=s,c {out}", ["'../a'"]),
    ("=s,c {out}", ["''", "a letter"]),
    ("a" * 31 + "=s,c {out}", ["29"]),
    ("a=s,c {out},a=s,c {out}", ["'a' is defined twice"]),
    ("a=s {foo},c {out}", ["server of a", "unknown placeholder {foo}", "{file} {name}"]),
    ("a=s,c {out} {}", ["client of a", "{}"]),
    ("a=s {file,c {out}", ["server of a", "{", "{{ }} for braces"]),
    ("a=s {out},c {out}", ["server of a", "{out}"]),
    ("a=s,cp {file} {out}", ["client of a", "{file}"]),
    ("a=s,c {server}", ["client of a", "without {out}"]),
    ("a=s 'x,c {out}", ["'", "never closed"]),
    ('a="" x,c {out}', ["server of a", "no program"]),
    ("a=s,c {out} \\", ["client of a", "backslash"]),
    ("foo", ["unknown system 'foo'", "swarm, nginx", "NAME='SERVER"]),
    ("", ["unknown system ''"]),
])
def test_the_error_names_what_is_wrong(text: str, words: List[str]) -> None:
    with pytest.raises(ValueError) as e:
        own.parse(text, KNOWN)
    assert "\n" not in str(e.value)
    for word in words:
        assert word in str(e.value)


def test_any_arguments_come_through_as_they_were() -> None:
    dice = random.Random(7)
    for _ in range(300):
        argvs = [["p"] + ["".join(dice.choices("ab ,='\"\\{}$\t", k=dice.randint(0, 8))) for _ in range(4)]
                 for _ in range(2)]
        commands = [" ".join(quoted(a.replace("{", "{{").replace("}", "}}")) for a in argv) for argv in argvs]
        names, found = own.parse(f"swarm,x={commands[0]},{commands[1]} {{out}},nginx", KNOWN)
        assert names == ["swarm", "x", "nginx"]
        assert own.fill(found["x"].server, {}) == argvs[0]
        assert own.fill(found["x"].client, {"out": "/o u,t"}) == [*argvs[1], "/o u,t"]


def quoted(text: str) -> str:
    """As a careful user would; shlex.quote leaves a comma alone."""
    found = shlex.quote(text)
    return f"'{found}'" if found == text and "," in text else found


def test_values_with_blanks_stay_one_argument() -> None:
    assert own.fill("s --f={file} '{n} x'", {"file": "/a b/{n}", "n": "3"}) == ["s", "--f=/a b/{n}", "3 x"]


@pytest.mark.parametrize("command, name", [
    ("python3 server.py {file}", "server.py"), ("/usr/bin/python3.11 -u -X dev a/server.py", "server.py"),
    ("./serve x", "serve"), ("python3 -m http.server", "python3"), ("sh -c 'true'", "sh")])
def test_a_program_is_called_by_the_name_its_author_knows(command: str, name: str) -> None:
    assert own.label(command) == name


@pytest.mark.parametrize("command, words", [
    ("python3 server.py", ["no server.py in", "whole path"]),
    ("./serve", ["no program ./serve in"]),
    ("no-such-program x", ["no program no-such-program", "install"]),
    ("plain", ["did you mean ./plain?"]),
    ("./plain", ["chmod +x ./plain"]),
])
def test_programs_that_are_not_there_are_missed_before_the_sweep(tmp_path: Any, command: str, words: List[str]) -> None:
    (tmp_path / "plain").write_text("")
    why = own.program_problem("server of a", command, str(tmp_path)) or ""
    assert why.startswith("server of a: ") and all(w in why for w in words)


def test_programs_that_are_there_are_not_missed(tmp_path: Any) -> None:
    (tmp_path / "s.py").write_text("")
    cls = own.make_class("a", "python3 -u s.py {file}", "sh -c 'cat >{out}'", str(tmp_path))
    assert cls.problem("") is None
    cls = own.make_class("a", "sh", "sh {out}", str(tmp_path / "gone"))
    assert "gone" in (cls.problem("") or "")


# The class

def test_it_is_peer_to_peer_once_it_knows_the_peers() -> None:
    assert own.make_class("a", "s", "c {out}").kind == "client-server"
    assert own.make_class("a", "s", "c {out} {peers}").kind == "p2p"
    assert own.make_class("a", "s {peers}", "c {out}").kind == "p2p"
    assert own.make_class("a", "s", "c {out} {{peers}}").kind == "client-server"


def test_the_registry_knows_them_after_a_round_trip_through_json() -> None:
    _, found = own.parse(MINE, list(registry.systems()))
    again = json.loads(json.dumps({"own": found}))["own"]
    cls = registry.systems(again, "/somewhere")["mine"]
    assert (cls.name, cls.title, cls.kind) == ("mine", "mine", "client-server")
    assert issubclass(cls, own.OwnSystem) and cls.cwd == "/somewhere"
    assert list(registry.systems(again))[:-1] == list(registry.systems())
    with pytest.raises(ValueError):
        registry.systems({"swarm": [SERVER, CLIENT]})


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 00000000:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0
"""
UDP6 = TCP.splitlines()[0] + """
 9: 0000000000000000FFFF00000100007F:14EB 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 14 2 0 0
10: 00000000000000000000000000000000:14EB 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 15 2 0 0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample is from a little-endian machine")
def test_who_listens_is_read_from_the_kernel() -> None:
    def read(name: str) -> str:
        if name == "udp":
            raise FileNotFoundError(name)
        return {"tcp": TCP, "udp6": UDP6}.get(name, "")
    assert own.sockets(read) == {("tcp:11", True), ("tcp:12", False), ("udp6:14", True), ("udp6:15", False)}


# For real, over the loopback

class LocalProc(procs.Proc):
    """A process of this machine, not of an emulated host."""

    def __init__(self, host: Any, role: str, argv: List[str], log: str, cwd: str, env: Dict[str, str]) -> None:
        self.host, self.role, self.log = host, role, log
        self._final, self._lock = None, threading.Lock()
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=out, start_new_session=True)
        self.pid = self.popen.pid


class LocalProcs(procs.Procs):
    def start(self, host: Any, role: str, argv: List[str], cwd: Optional[str] = None, **how: Any) -> procs.Proc:
        proc = LocalProc(host, role, argv, os.path.join(self._dir, f"{role}-{host.name}.log"),
                         cwd or self.home(host), **how)
        self._all.append(proc)
        return proc


class LocalHost:
    """This machine under another name, with the sockets of the programs under test only."""
    ip = "127.0.0.1"

    def __init__(self, name: str, started: procs.Procs) -> None:
        self.name, self._started = name, started

    def proc_net(self, name: str) -> str:
        mine = set()
        for p in self._started.of(host=self):
            for fd in os.listdir(f"/proc/{p.pid}/fd"):
                mine.add(os.readlink(f"/proc/{p.pid}/fd/{fd}"))
        with open(f"/proc/self/net/{name}", encoding="ascii") as f:
            head, *lines = f.read().splitlines()
        return "\n".join([head, *(line for line in lines if f"socket:[{line.split()[9]}]" in mine)])


@pytest.fixture(name="bench")
def make_bench(tmp_path: Any) -> Iterator[Any]:
    """An origin and two peers, all of them this machine, and a file of 3 MB."""
    (tmp_path / "lo gs").mkdir()
    file = tmp_path / "the file.bin"
    file.write_bytes(os.urandom(3_000_000))
    all_procs = LocalProcs(str(tmp_path / "lo gs"), str(tmp_path / "data"))
    hosts = [LocalHost(f"h{i}", all_procs) for i in (1, 2, 3)]
    yield SimpleNamespace(procs=all_procs, origin=hosts[0], peers=hosts[1:], file=str(file), file_name=file.name,
                          point=SimpleNamespace(size=3_000_000), dir_of=all_procs.home)
    all_procs.stop()


def system(bench: Any, server: str, client: str, cwd: Any) -> own.OwnSystem:
    return own.make_class("mine", server, client, str(cwd))(bench)


def run(bench: Any, server: str, client: str, cwd: Any) -> List[Any]:
    mine = system(bench, server, client, cwd)
    mine.setup()
    for p in bench.peers:
        mine.ready(p)
        mine.start(p)
    return [mine.wait(p, time.monotonic() + 30) for p in bench.peers]


@pytest.fixture(name="programs")
def copy_examples(tmp_path: Any) -> Any:
    """The examples, on a port that is free."""
    with socket.socket() as s:
        s.bind(("", 0))
        port = s.getsockname()[1]
    for name in ("server.py", "client.py"):
        with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
            text = f.read()
        assert text.count("PORT = 9000") == 1
        (tmp_path / name).write_text(text.replace("PORT = 9000", f"PORT = {port}"))
    return tmp_path


def test_the_examples_deliver_the_file(bench: Any, programs: Any) -> None:
    finished = run(bench, SERVER, CLIENT, programs)
    with open(bench.file, "rb") as f:
        sent = f.read()
    for finish in finished:
        with open(finish.path, "rb") as f:
            assert f.read() == sent


def test_a_peer_to_peer_client_may_stay_when_it_has_the_file(bench: Any, programs: Any) -> None:
    client = "sh -c 'python3 client.py {server} \"$0\" && sleep 60' {out} {peers}"
    begin = time.monotonic()
    assert len(run(bench, SERVER, client, programs)) == 2
    assert time.monotonic() - begin < 30


def test_a_server_that_dies_says_why(bench: Any, programs: Any) -> None:
    (programs / "bad.py").write_text("raise SystemExit('no such door')")
    with pytest.raises(procs.ProcDied, match="bad.py on h1 ended with status 1: no such door"):
        system(bench, "python3 bad.py", CLIENT, programs).setup()


@pytest.mark.parametrize("code, words", [
    ("import time; print('thinking'); time.sleep(60)", "listens on no port after 4 s; its last line: thinking"),
    ("import socket, time; s = socket.create_server(('127.0.0.1', 0)); time.sleep(60)", "loopback only"),
])
def test_a_server_that_nobody_reaches_is_named(bench: Any, programs: Any, monkeypatch: Any,
                                               code: str, words: str) -> None:
    monkeypatch.setattr(own, "READY", 4.0)
    (programs / "mute.py").write_text(code)
    with pytest.raises(TimeoutError, match=words):
        system(bench, "python3 mute.py", CLIENT, programs).setup()


def test_a_server_may_speak_udp(bench: Any, programs: Any) -> None:
    (programs / "udp.py").write_text("import socket, time; s = socket.socket(type=socket.SOCK_DGRAM); "
                                     "s.bind(('', 0)); time.sleep(60)")
    system(bench, "python3 udp.py", CLIENT, programs).setup()


@pytest.mark.parametrize("client, words", [
    ("sh -c 'echo cannot; exit 3' {out}", "sh on h2 ended with status 3: cannot"),
    ("sh -c 'kill -SEGV $$' {out}", "sh on h2 was ended by SIGSEGV$"),
    ("sh -c 'echo done' {out}", "sh on h2 ended with status 0, but put no file at .*/h2/the file.bin; sh said: done"),
    ("cp server.py {out}", "cp on h2 ended with status 0, but its file has [0-9]+ bytes instead of 3000000$"),
])
def test_a_client_that_fails_says_why(bench: Any, programs: Any, client: str, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        run(bench, SERVER, client, programs)


def test_what_the_server_said_is_passed_on(bench: Any, programs: Any) -> None:
    with pytest.raises(RuntimeError, match="has 0 bytes instead of 3000000; server.py said: FileNotFoundError"):
        run(bench, SERVER + "x", CLIENT, programs)


@pytest.mark.parametrize("server, client", [("yes", CLIENT), (SERVER, "yes {out}"), (SERVER, "yes {out} {peers}")])
def test_a_program_that_prints_without_end_is_ended(bench: Any, programs: Any, monkeypatch: Any,
                                                    server: str, client: str) -> None:
    monkeypatch.setattr(own, "CHATTER", 1 << 20)
    with pytest.raises(RuntimeError, match="yes on h[12] printed more than 1 MiB$"):
        run(bench, server, client, programs)
    yes, = (p for p in bench.procs.of() if p.role == "yes" and p.poll() is not None)
    assert os.path.getsize(yes.log) == 1 << 20


def test_how_a_process_ended() -> None:
    assert [procs.ended(status) for status in (3, -9, -40)] == [
        "ended with status 3", "was ended by SIGKILL", "was ended by signal 40"]


def test_a_long_line_of_a_log_is_cut(tmp_path: Any) -> None:
    (tmp_path / "log").write_text("x" * 5000)
    assert procs.tail(str(tmp_path / "log"), 1) == "x" * procs.LINE + " ..."


def test_a_client_that_hangs_is_not_waited_for(bench: Any, programs: Any) -> None:
    mine = system(bench, SERVER, "sleep 60 {out}", programs)
    mine.setup()
    mine.start(bench.peers[0])
    with pytest.raises((TimeoutError, procs.ProcDied)):
        mine.wait(bench.peers[0], time.monotonic() + 0.2)


def test_quotes_within_quotes_are_taken_away() -> None:
    """As in a script: --system "mine='python3 s.py {file}','c {out}'"."""
    names, found = own.parse("mine='python3 s.py {file}','c \"a b\" {out}',nginx", ("nginx",))
    assert names == ["mine", "nginx"] and found["mine"] == own.Own("python3 s.py {file}", 'c "a b" {out}')
