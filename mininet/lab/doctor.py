"""sweep.py doctor: what this machine can and cannot do for the lab, and what to do about each.

Nothing is guessed from a module's name: what the kernel must do is tried, in a network namespace that
ends with the process that tries it. Nothing is changed and nothing is left. (The kernel may load a module.)
"""

import os
import platform
import re
import shutil
import subprocess
import textwrap
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from . import REPO, ovs, units
from .checks import HOST_MEMORY
from .options import Wrong
from .pulse import show

OK, NO, NOTE = "ok", "no", "note"
MBIT_PER_CORE = 600.0       # peers × Mbit/s: two cores carry 8 × 100 easily, 16 × 100 just, 32 × 100 not
RATES = (100, 50, 25, 20, 10, 5, 2, 1)
COUNTS = (8, 16, 32, 64, 100)
SIZE = 10 << 20             # bytes: the default sweep's file
PEERS = 13                  # the default sweep's most
PATHS = ":/usr/sbin:/sbin:/usr/local/go/bin:/usr/lib/go/bin"
STEAL = 0.02                # of the time since boot
PRIVILEGED = ("in a container, start it with `docker run --privileged` (or --cap-add SYS_ADMIN --cap-add NET_ADMIN "
              "--security-opt apparmor=unconfined)")
WSL2 = ("WSL 2's own kernel is built without much of traffic control: build one with CONFIG_NET_SCH_HTB, "
        "NET_SCH_NETEM and BRIDGE, name it in .wslconfig (kernel=...), or use a virtual machine")

# Each is tried by sh in a network namespace of its own, which has a `lo` and nothing else.
PROBES: Tuple[Tuple[str, str, bool, str], ...] = (   # what, commands, whether the default sweep needs it, what for
    ("veth pairs", "ip link add name va type veth peer name vb", True, "every link is one"),
    ("bridge", "ip link add name sw type bridge && ip link set sw up", True, "the switch"),
    ("HTB", "tc qdisc add dev lo root handle 5: htb default 1 && "
            "tc class add dev lo parent 5: classid 5:1 htb rate 100mbit burst 15k", True, "the rate of a link"),
    ("netem", "tc qdisc add dev lo root netem delay 10ms loss 1%", False, "delay and loss of links"),
)


class Finding(NamedTuple):
    """A line of the page."""
    state: str             # OK, NO or NOTE
    what: str
    text: str
    remedy: str = ""
    needed: bool = False   # a default sweep cannot run where this is NO


class Machine:
    """Where the findings come from: files and commands. Tests put others in their place."""

    def __init__(self, root: str = "/") -> None:
        self._root = root

    def read(self, path: str) -> Optional[str]:
        """What a file holds, or None where it cannot be read."""
        try:
            with open(os.path.join(self._root, path.lstrip("/")), encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether there is such a file or directory."""
        return os.path.exists(os.path.join(self._root, path.lstrip("/")))

    def run(self, *argv: str) -> Tuple[int, str]:
        """(Exit status, what it printed) of a command; 127 where it does not exist.

        It runs in /, as `go` would fetch a toolchain where there is a go.mod."""
        try:
            done = subprocess.run(argv, cwd="/", check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=20)
        except subprocess.TimeoutExpired:
            return 124, "no answer within 20 s"
        except OSError as e:
            return 127, f"{argv[0]}: {e.strerror}"
        return done.returncode, done.stdout.strip()

    def tun_works(self) -> bool:
        """Whether a TUN device could be opened."""
        return ovs.tun_works()

    def which(self, command: str) -> Optional[str]:
        """Where a command is, also where a user's PATH does not lead."""
        return shutil.which(command, path=os.environ.get("PATH", "") + PATHS)

    def system(self) -> str:
        """'Linux', 'Darwin', ..."""
        return platform.system()

    def release(self) -> str:
        """The kernel's."""
        return platform.release()

    def uid(self) -> int:
        """Of the user; 0 is root."""
        return os.geteuid()

    def cores(self) -> int:
        """How many processors this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# The machine

def system(m: Machine) -> List[Finding]:
    """Linux, which one, and whose."""
    if m.system() != "Linux":
        return [Finding(NO, "system", m.system(), "Mininet needs Linux: use a virtual machine with Debian or Ubuntu",
                        True)]
    found = [Finding(OK, "system", f"Linux {m.release()}")]
    if "microsoft" in m.release().lower():
        if "wsl2" in m.release().lower() or m.exists("/run/WSL"):
            found.append(Finding(NOTE, "WSL 2", "a virtual machine with a kernel of Microsoft's; "
                                 "what it lacks stands below", WSL2))
        else:
            found.append(Finding(NO, "WSL 1", "not a Linux kernel: no namespaces, no traffic control",
                                 "`wsl --set-version DISTRIBUTION 2`, then run the doctor again", True))
    return found


def root(m: Machine) -> List[Finding]:
    """Namespaces and traffic control are for root."""
    if m.uid() == 0:
        return [Finding(OK, "root", "yes")]
    return [Finding(NO, "root", f"no: user {m.uid()}", "run it with sudo; what needs root was not tried", True)]


def namespaces(m: Machine) -> List[Finding]:
    """Whether this process may make the namespaces that a sweep and its hosts live in; root only."""
    if m.uid():
        return []
    tries = {kind: f"--{kind} --fork true" for kind in ("net", "mount", "pid")}
    tries["/sys in a"] = "--net --mount --fork mount -t sysfs sysfs /sys"
    for kind, how in tries.items():
        status, said = m.run("unshare", *how.split())
        if status == 127:
            return [Finding(NO, "namespaces", "unshare is missing", "apt-get install util-linux", True)]
        if status:
            remedy = PRIVILEGED if container(m) else "the kernel needs CONFIG_NAMESPACES, and root CAP_SYS_ADMIN"
            return [Finding(NO, "namespaces", f"{kind} namespace: {last(said)}", remedy, True)]
    return [Finding(OK, "namespaces", "net, mount, pid")]


def kernel(m: Machine) -> List[Finding]:
    """What PROBES try; nothing where they cannot be tried."""
    found: List[Finding] = []
    if m.uid() or any(f.state == NO for f in namespaces(m)):
        return found
    for what, commands, needed, use in PROBES:
        status, said = m.run("unshare", "--net", "sh", "-c", commands)
        if status == 0:
            found.append(Finding(OK, what, use))
        elif missing_command(said):
            found.append(Finding(NO, what, last(said), "apt-get install iproute2", needed))
        else:
            found.append(Finding(NO if needed else NOTE, what, f"{last(said)} ({use})", lacks(m, what), needed))
    return found


def lacks(m: Machine, what: str) -> str:
    """The remedy where the kernel cannot do something."""
    if "microsoft" in m.release().lower():
        return WSL2
    if what == "netem" and m.tun_works():
        return "not needed: with --delay and --loss, bin/line carries the frames, in user space and for some CPU time"
    package = f"Debian, Ubuntu: apt-get install linux-modules-extra-{m.release()} or a distribution's full kernel"
    return package + (", on the container's host" if container(m) else "")


def optional(m: Machine) -> List[Finding]:
    """TUN, Open vSwitch and the congestion controls: the default sweep needs none of them."""
    return [congestion(m)] if m.uid() else [tun(m), open_vswitch(m), congestion(m)]


def tun(m: Machine) -> Finding:
    """TUN and TAP serve bin/line, and Open vSwitch in user space."""
    if m.tun_works():
        return Finding(OK, "TUN", ovs.TUN)
    return Finding(NOTE, "TUN", "/dev/net/tun cannot be opened (for --delay, --loss and --switch ovs, on a "
                   "kernel without netem and openvswitch)",
                   "in a container, --device /dev/net/tun; elsewhere, modprobe tun")


def open_vswitch(m: Machine) -> Finding:
    """Whether --switch ovs can be had, and how."""
    module = m.exists("/sys/module/openvswitch") or m.run("modprobe", "-n", "-q", "openvswitch")[0] == 0
    if not m.which("ovs-vswitchd"):
        return Finding(NOTE, "Open vSwitch", "not installed (only for --switch ovs)",
                       "apt-get install --no-install-recommends openvswitch-switch")
    if module:
        return Finding(OK, "Open vSwitch", "in the kernel")
    if m.tun_works():
        return Finding(NOTE, "Open vSwitch", "in user space, as the kernel has no openvswitch module: one processor "
                       "switches all", "with --switch ovs, keep hosts × Mbit/s below 400")
    return Finding(NOTE, "Open vSwitch", "neither the openvswitch module nor TUN", "use --switch bridge, the default")


def congestion(m: Machine) -> Finding:
    """What --cc may name."""
    where = "/proc/sys/net/ipv4/tcp_"
    have = (m.read(where + "available_congestion_control") or "").split()
    used = (m.read(where + "congestion_control") or "").strip()
    if not have:
        return Finding(NOTE, "--cc", "the kernel does not say which congestion controls it has")
    more = "" if {"cubic", "bbr"} <= set(have) else "modprobe tcp_bbr or tcp_cubic may add one"
    return Finding(OK, "--cc", f"{', '.join(have)}; {used or have[0]} by default", more)


# Programs

def packages(m: Machine) -> List[Finding]:
    """What setup.sh would install."""
    status, said = m.run(os.path.join(REPO, "mininet", "setup.sh"), "--check")
    if status == 0:
        return [Finding(OK, "packages", "all there")]
    if status != 1:
        return [Finding(NO, "packages", f"setup.sh --check: {last(said)}", "see mininet/setup.sh", True)]
    apt = m.which("apt-get")
    return [Finding(NO, "packages", f"missing {said}", "sudo mininet/setup.sh" if apt else
                    "no apt-get here: install what these hold with your package manager", True)]


def toolchain(m: Machine, go_mod: Optional[str] = None) -> List[Finding]:
    """Go, for building fanout's daemons; a sweep of others needs none."""
    wanted = re.search(r"^go (\S+)", go_mod or m.read(os.path.join(REPO, "go.mod")) or "", re.M)
    go = m.which("go")
    if not go:
        return [Finding(NO, "Go", "not found (for fanout's own systems)",
                        f"install Go {wanted[1] if wanted else ''} from https://go.dev/dl, or sweep others only: "
                        "--system nginx,aria2", True)]
    status, said = m.run(go, "env", "GOVERSION", "GOTOOLCHAIN")
    version, _, choice = said.partition("\n")
    have = version.strip().removeprefix("go")
    if status or not have:
        return [Finding(NO, "Go", f"{go}: {last(said)}", "install it again: https://go.dev/dl", True)]
    if wanted and numbers(have) < numbers(wanted[1]):
        if choice.strip() == "local":
            return [Finding(NO, "Go", f"{have}, but go.mod wants {wanted[1]}", "https://go.dev/dl, or GOTOOLCHAIN=auto",
                            True)]
        return [Finding(NOTE, "Go", f"{have}; fetches {wanted[1]}, which go.mod wants, when it builds",
                        "the first build needs the Internet")]
    return [Finding(OK, "Go", f"{have} (go.mod wants {wanted[1] if wanted else 'any'})")]


# Power

def processors(m: Machine) -> List[Finding]:
    """Cores, and what makes them less than they look."""
    cores, quota = m.cores(), cpu_quota(m)
    power = min(cores, quota) if quota else float(cores)
    found = [Finding(OK if power >= 2 else NOTE, "processors", f"{cores}" + (f", of which a quota leaves {quota:g}"
                     if quota and quota < cores else ""), "" if power >= 2 else "use slow links: --bw 20")]
    if quota and quota < cores:
        found.append(Finding(NOTE, "CPU quota", f"{quota:g} of {cores}: the kernel stops everything once it is used "
                             "up, which no load figure shows", "start the container without docker run --cpus"))
    steal = stolen(m.read("/proc/stat") or "")
    if steal > STEAL:
        found.append(Finding(NOTE, "steal", f"{steal:.0%} of the time since boot went to other virtual machines",
                             "measure when the host is idle; runs that lost more than 10 % are marked"))
    where = virtual(m)
    if where:
        found.append(Finding(NOTE, "virtual", where, "what its own host does to it, no tool in here can see: "
                             "look at the spread of the runs"))
    return [*found, Finding(OK, "links", f"easily carried: {carries(power)}",
                            "with more, the figures measure the processors")]


def cpu_quota(m: Machine) -> Optional[float]:
    """How many processors a control group leaves, or None where it leaves all."""
    best: Optional[float] = None
    own = re.search(r"^0::(/.*)$", m.read("/proc/self/cgroup") or "", re.M)
    for path in {"/sys/fs/cgroup", "/sys/fs/cgroup" + (own[1].rstrip("/") if own else "")}:
        f = (m.read(path + "/cpu.max") or "").split()
        if len(f) == 2 and f[0].isdigit():
            best = min(int(f[0]) / int(f[1]), best or float("inf"))
    old = [(m.read(f"/sys/fs/cgroup/cpu/cpu.cfs_{k}_us") or "").strip() for k in ("quota", "period")]
    if all(x.isdigit() for x in old) and int(old[1]):
        best = min(int(old[0]) / int(old[1]), best or float("inf"))
    return best


def stolen(stat: str) -> float:
    """The share of all time since boot that the host took away, from /proc/stat. Pure."""
    m = re.search(r"^cpu +(.*)", stat)
    ticks = [int(x) for x in m[1].split()[:8]] if m else []
    total = sum(ticks)
    return ticks[7] / total if len(ticks) == 8 and total else 0.0


def virtual(m: Machine) -> str:
    """What kind of machine or container this is, '' for a plain one."""
    words = []
    if re.search(r"^flags\b.*\bhypervisor\b", m.read("/proc/cpuinfo") or "", re.M):
        name = " ".join(filter(None, ((m.read(f"/sys/class/dmi/id/{f}") or "").strip()
                                      for f in ("sys_vendor", "product_name"))))
        words.append(f"a virtual machine ({name})" if name else "a virtual machine")
    if container(m):
        words.append("a container")
    return ", in it ".join(words)


def container(m: Machine) -> bool:
    """Whether this looks like the inside of a container."""
    if m.exists("/.dockerenv") or m.exists("/run/.containerenv"):
        return True
    return bool(re.search(r"^container=", (m.read("/proc/1/environ") or "").replace("\0", "\n"), re.M)
                or re.search(r"/(docker|kubepods|lxc|libpod)\b", m.read("/proc/1/cgroup") or ""))


def carries(power: float) -> str:
    """Rule of thumb: which links so many processors carry, for several numbers of peers. Pure."""
    return ", ".join(f"{n} peers {fastest(n, power)}" for n in COUNTS)


def fastest(peers: int, power: float) -> str:
    """The highest of the usual rates that so many peers may have. Pure."""
    rate = next((r for r in RATES if peers * r <= MBIT_PER_CORE * power), 0)
    return f"--bw {rate}" if rate else "too many"


def memory(m: Machine) -> List[Finding]:
    """How many peers there is room for: each needs a copy of the file and some."""
    kib = re.search(r"^MemAvailable: +(\d+)", m.read("/proc/meminfo") or "", re.M)
    free = int(kib[1]) * 1024 if kib else 0
    return [room("memory", free, SIZE + HOST_MEMORY, "close programs, or give the machine more")]


def room(what: str, free: int, each: int, remedy: str) -> Finding:
    """A finding about bytes, as the number of peers that they are enough for. Pure."""
    peers, big = (max(0, (free * 9 // 10 - size) // (each - SIZE + size)) for size in (SIZE, 1 << 30))
    text = f"{units.human_size(free)}: {min(peers, 1000)} peers with 10 MiB each, {min(big, 1000)} with 1 GiB"
    return Finding(OK, what, text) if peers >= PEERS else Finding(NO, what, text, remedy, True)


def neighbours(m: Machine) -> List[Finding]:
    """What people fear would disturb the lab, and does not."""
    text = m.read("/proc/net/dev") or ""
    names = [line.partition(":")[0].strip() for line in text.splitlines()[2:]]
    seen = [what for what, pattern in (("Docker's bridges", r"docker\d|br-[0-9a-f]{12}|cni\d|virbr\d"),
                                       ("a VPN", r"tun\d|wg\d|ppp\d|tailscale\d|utun\d"))
            if any(re.match(pattern, n) for n in names)]
    filtered = (m.read("/proc/sys/net/bridge/bridge-nf-call-iptables") or "").strip() == "1"
    seen += ["firewall rules for bridges"] if filtered else []
    return [Finding(OK, "neighbours", f"{', '.join(seen) or 'none seen'}: rules and routes of others do not matter, "
                    "the lab has a network namespace of its own")]


# The page

PARTS: Sequence[Callable[[Machine], List[Finding]]] = (
    root, namespaces, kernel, optional, packages, toolchain, processors, memory, neighbours)


def examine(m: Machine) -> List[Finding]:
    """All findings, in the order of the page."""
    found = system(m)
    if m.system() == "Linux":
        for part in PARTS:
            found += part(m)
    return found


def can_sweep(found: Sequence[Finding]) -> bool:
    """Whether nothing is missing that the default sweep needs. Pure."""
    return not any(f.needed and f.state == NO for f in found)


def page(found: Sequence[Finding], width: int = 110) -> str:
    """The findings as lines; a remedy stands below its line, behind an arrow. Pure."""
    lines: List[str] = []
    column = max(len(f.what) for f in found)
    for f in found:
        head = f"{f.state:<5}{f.what:<{column}}  "
        lines += wrap(f.text, head, width)
        if f.remedy:
            lines += wrap(f.remedy, " " * len(head) + "-> ", width)
    missing = [f.what for f in found if f.needed and f.state == NO]
    verdict = ("a sweep cannot run here: " + ", ".join(missing)) if missing else "a default sweep can run here"
    return "\n".join([*lines, "", verdict])


def wrap(text: str, head: str, width: int) -> List[str]:
    """Text behind a head, its further lines indented as far. Pure."""
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=" " * len(head),
                         break_long_words=False, break_on_hyphens=False) or [head.rstrip()]


def last(said: str) -> str:
    """The last line of what a command printed. Pure."""
    return (said.strip().splitlines() or ["no reason given"])[-1]


def missing_command(said: str) -> bool:
    """Whether a shell did not find a command. Pure."""
    return bool(re.search(r"\b(ip|tc): not found", said))


def numbers(version: str) -> Tuple[int, ...]:
    """'1.26.8' -> (1, 26, 8), to compare. Pure."""
    return tuple(int(x) for x in re.findall(r"\d+", version)[:3])


def main(argv: Sequence[str] = (), machine: Optional[Machine] = None) -> int:
    """Prints the page; 0 where a default sweep can run, 1 where it cannot."""
    if argv:
        raise Wrong("doctor takes no arguments")
    found = examine(machine or Machine())
    show(page(found))
    return 0 if can_sweep(found) else 1
