import os
import subprocess
import sys
from typing import Any, Dict, Optional, Tuple

import pytest

from lab import doctor
from lab.doctor import NO, NOTE, OK, Finding
from lab.options import Wrong

STAT = "cpu  100 0 100 700 0 0 0 100 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
HEALTHY = {
    "/proc/cpuinfo": "flags\t\t: fpu vme\n",
    "/proc/stat": STAT.replace(" 100 0 0\n", " 0 0 0\n", 1),
    "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   8388608 kB\n",
    "/proc/net/dev": "a\nb\n    lo: 1\n  eth0: 1\n",
    "/proc/sys/net/ipv4/tcp_available_congestion_control": "reno cubic bbr\n",
    "/proc/sys/net/ipv4/tcp_congestion_control": "cubic\n",
    os.path.join(doctor.REPO, "go.mod"): "module x\n\ngo 1.26.8\n",
}


class Fake(doctor.Machine):
    """A sound machine, but for what a test says. wrong: {part of a command: (status, output)}."""

    def __init__(self, files: Optional[Dict[str, str]] = None, wrong: Optional[Dict[str, Tuple[int, str]]] = None,
                 **other: Any) -> None:
        super().__init__()
        self.files = {**HEALTHY, **(files or {})}
        self.wrong = wrong or {}
        self.other: Dict[str, Any] = {"system": "Linux", "release": "6.1.0-generic", "uid": 0, "cores": 4,
                                      "tun": True, "absent": (), **other}

    def read(self, path: str) -> Optional[str]:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return path in self.files

    def run(self, *argv: str) -> Tuple[int, str]:
        command = " ".join(argv)
        for part, answer in self.wrong.items():
            if part in command:
                return answer
        return 0, "go1.26.8\nauto" if "GOVERSION" in command else ""

    def which(self, command: str) -> Optional[str]:
        return None if command in self.other["absent"] else "/usr/bin/" + command

    def tun_works(self) -> bool:
        return self.other["tun"]

    def system(self) -> str:
        return self.other["system"]

    def release(self) -> str:
        return self.other["release"]

    def uid(self) -> int:
        return self.other["uid"]

    def cores(self) -> int:
        return self.other["cores"]


def about(m: doctor.Machine, what: str) -> Finding:
    found, = [f for f in doctor.examine(m) if f.what == what]
    return found


def test_a_sound_machine_has_nothing_to_complain_of() -> None:
    found = doctor.examine(Fake())
    assert {f.state for f in found} == {OK}
    assert doctor.can_sweep(found)


REFUSED = "unshare: unshare failed: Operation not permitted"
UNKNOWN = 'Error: Specified qdisc kind is unknown.'


@pytest.mark.parametrize("machine, what, state, words, sweeps", [
    (Fake(system="Darwin"), "system", NO, "virtual machine", False),
    (Fake(uid=1000), "root", NO, "sudo", False),
    (Fake(wrong={"unshare --net --fork": (1, REFUSED)}), "namespaces", NO, "CAP_SYS_ADMIN", False),
    (Fake({"/.dockerenv": ""}, {"unshare --net --fork": (1, REFUSED)}), "namespaces", NO, "docker run --privileged",
     False),
    (Fake({"/.dockerenv": ""}, {"sysfs": (32, "mount: permission denied")}), "namespaces", NO, "apparmor", False),
    (Fake(wrong={"unshare": (127, "unshare: No such file")}), "namespaces", NO, "util-linux", False),
    (Fake(wrong={"type bridge": (2, "Error: Unknown device type.")}), "bridge", NO, "linux-modules-extra-6.1", False),
    (Fake(wrong={"htb": (2, UNKNOWN)}), "HTB", NO, "linux-modules-extra", False),
    (Fake(wrong={"htb": (127, "sh: 1: tc: not found")}), "HTB", NO, "iproute2", False),
    (Fake(wrong={"netem": (2, UNKNOWN)}), "netem", NOTE, "bin/line carries", True),
    (Fake(wrong={"netem": (2, UNKNOWN)}, tun=False), "netem", NOTE, "linux-modules-extra", True),
    (Fake(tun=False), "TUN", NOTE, "--device /dev/net/tun", True),
    (Fake(absent=("ovs-vswitchd",)), "Open vSwitch", NOTE, "apt-get install", True),
    (Fake(wrong={"modprobe": (1, "")}), "Open vSwitch", NOTE, "below 400", True),
    (Fake(wrong={"modprobe": (1, "")}, tun=False), "Open vSwitch", NOTE, "--switch bridge", True),
    (Fake({"/sys/module/openvswitch": ""}, {"modprobe": (1, "")}), "Open vSwitch", OK, "", True),
    (Fake({"/proc/sys/net/ipv4/tcp_available_congestion_control": "reno cubic"}), "--cc", OK, "modprobe tcp_bbr", True),
    (Fake(wrong={"--check": (1, "aria2 curl")}), "packages", NO, "mininet/setup.sh", False),
    (Fake(wrong={"--check": (1, "aria2")}, absent=("apt-get",)), "packages", NO, "your package manager", False),
    (Fake(absent=("go",)), "Go", NO, "install Go 1.26.8", False),
    (Fake(wrong={"GOVERSION": (0, "go1.19\nlocal")}), "Go", NO, "GOTOOLCHAIN=auto", False),
    (Fake(wrong={"GOVERSION": (0, "go1.26.7\nauto")}), "Go", NOTE, "Internet", True),
    (Fake(wrong={"GOVERSION": (0, "go1.27\nlocal")}), "Go", OK, "", True),
    (Fake(cores=1), "processors", NOTE, "--bw 20", True),
    (Fake({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}), "CPU quota", NOTE, "--cpus", True),
    (Fake({"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cpu.max": "150000 100000\n",
           "/sys/fs/cgroup/cpu.max": "max 100000\n"}), "CPU quota", NOTE, "--cpus", True),
    (Fake({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}),
     "CPU quota", NOTE, "--cpus", True),
    (Fake({"/proc/stat": STAT}), "steal", NOTE, "idle", True),
    (Fake({"/proc/cpuinfo": "flags : fpu hypervisor\n", "/sys/class/dmi/id/sys_vendor": "QEMU\n"}), "virtual", NOTE,
     "spread", True),
    (Fake({"/proc/1/environ": "A=b\0container=podman\0"}), "virtual", NOTE, "spread", True),
    (Fake({"/proc/meminfo": "MemAvailable: 200000 kB\n"}), "memory", NO, "more", False),
])
def test_each_lack_has_its_remedy(machine: Fake, what: str, state: str, words: str, sweeps: bool) -> None:
    found = about(machine, what)
    assert found.state == state and words in found.remedy
    assert doctor.can_sweep(doctor.examine(machine)) == sweeps


def test_wsl_is_known_by_its_kernel() -> None:
    one = Fake(release="4.4.0-19041-Microsoft")
    two = Fake(release="5.15.90.1-microsoft-standard-WSL2", wrong={"netem": (2, UNKNOWN), "htb": (2, UNKNOWN)})
    assert about(one, "WSL 1").state == NO and "--set-version" in about(one, "WSL 1").remedy
    assert about(two, "WSL 2").state == NOTE
    assert ".wslconfig" in about(two, "HTB").remedy and ".wslconfig" in about(two, "netem").remedy
    assert not doctor.can_sweep(doctor.examine(two))


def test_without_root_nothing_is_tried_that_would_fail() -> None:
    for m in (Fake(uid=1000), Fake(wrong={"unshare": (1, REFUSED)})):
        assert "HTB" not in {f.what for f in doctor.examine(m)}
    assert "TUN" not in {f.what for f in doctor.examine(Fake(uid=1000))}


@pytest.mark.parametrize("peers, power, rate", [
    (8, 2, "--bw 100"), (16, 2, "--bw 50"), (32, 2, "--bw 25"), (64, 2, "--bw 10"), (100, 2, "--bw 10"),
    (32, 8, "--bw 100"), (8, 0.5, "--bw 25"), (10_000, 1, "too many")])
def test_slower_links_for_more_peers(peers: int, power: float, rate: str) -> None:
    assert doctor.fastest(peers, power) == rate


def test_a_quota_counts_like_fewer_processors() -> None:
    found = about(Fake({"/sys/fs/cgroup/cpu.max": "100000 100000\n"}, cores=8), "links")
    assert "16 peers --bw 25" in found.text


def test_others_networks_are_named_and_do_not_matter() -> None:
    m = Fake({"/proc/net/dev": "a\nb\ndocker0: 1\n wg0: 1\n", "/proc/sys/net/bridge/bridge-nf-call-iptables": "1\n"})
    found = about(m, "neighbours")
    assert found.state == OK and "Docker's bridges, a VPN, firewall rules" in found.text


def test_the_page_is_aligned_and_ends_with_the_verdict() -> None:
    lines = doctor.page([Finding(OK, "a", "text"), Finding(NO, "longer", "word " * 40, "a remedy", True)]).splitlines()
    assert lines[0] == "ok   a       text" and lines[1].startswith("no   longer  word")
    assert all(len(line) <= 110 for line in lines)
    assert "             -> a remedy" in lines and lines[-1] == "a sweep cannot run here: longer"


def test_the_exit_status_is_the_verdict(capsys: Any) -> None:
    assert doctor.main((), Fake()) == 0 and doctor.main((), Fake(uid=1)) == 1
    assert "a default sweep can run here" in capsys.readouterr().out
    with pytest.raises(Wrong, match="no arguments"):
        doctor.main(("x",))


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="needs root on Linux")
def test_on_this_machine_it_leaves_nothing() -> None:
    # In a namespace of its own: others may be at work in this one.
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = f"import sys; sys.path.insert(0, {here!r}); from lab import doctor; sys.exit(doctor.main())"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'ip -br link; tc qdisc; echo ===; "$@"; s=$?; echo ===; '
         "ip -br link; tc qdisc; exit $s", "sh", sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=300)
    before, page, after = done.stdout.split("===\n")
    assert before == after, done.stderr
    assert done.returncode == ("cannot run here" in page), page + done.stderr
    if not done.returncode:
        assert "ok   HTB" in page and "ok   bridge" in page
