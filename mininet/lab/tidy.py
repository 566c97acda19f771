"""A sweep as flat files to compute with: a row per point, a run, a peer, a host.

Each file is one table of (column, meaning, getter) below; the data dictionary is written
from the same tables. An empty field is a value that there is none of: no rate, not late,
failed before it was measured. Columns of the same name mean the same in every file.
"""

import csv
import os
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from . import plan, stats
from .stats import Config, Record, Row, Stat

DICTIONARY = "data-dictionary.md"

Columns = Sequence[Tuple[str, str, Callable[..., Any]]]


def at(*path: str) -> Callable[[Record], Any]:
    """The value below these keys of a record, or None."""
    def get(record: Any) -> Any:
        for key in path:
            record = record.get(key) if isinstance(record, dict) else None
        return record
    return get


def percent(*path: str) -> Callable[[Record], Optional[float]]:
    """A share, as a percentage."""
    def get(record: Record) -> Optional[float]:
        share = at(*path)(record)
        return None if share is None else 100 * share
    return get


def files_sent(record: Record) -> Optional[float]:
    sent = at("origin", "sent_bytes")(record)
    return None if sent is None else sent / record["point"]["size"]


def files_received(record: Record) -> Optional[float]:
    if not any(p["verified"] for p in record.get("peers", ())):
        return None
    return stats.received(record) / record["point"]["size"]


def mean_ratio(record: Record) -> Optional[float]:
    mean, least = record.get("mean_seconds"), record.get("mean_bound_seconds")
    return mean / least if mean and least else None


def last_daemon(record: Record) -> Optional[float]:
    return stats.slowest_daemon(record) if record["status"] == "ok" else None


def rates(name: str) -> Callable[[Record], Optional[str]]:
    """The rates of hosts' links, as they are typed."""
    def get(record: Record) -> Optional[str]:
        found = record["point"].get(name)
        return plan.compress(tuple(found)) if found else None
    return get


def hostile(record: Record) -> Optional[str]:
    found = plan.Point.from_dict(record["point"]).hostile
    return str(found) if found else None


def deeds(record: Record) -> Optional[int]:
    counts = [host["deeds"] for host in record.get("hostile", ())]
    return sum(counts) if counts else None


def versions(record: Record) -> str:
    return "; ".join(f"{k} {v}" for k, v in record.get("env", {}).get("versions", {}).items())


def finished(peer: Record) -> Optional[float]:
    return None if peer.get("driver_seconds") is None else peer["started"] + peer["driver_seconds"]


# What every row of a run, a peer or a host begins with: which run, of what, and where it comes from.
RUN: Columns = (
    ("run", "name of the run; joins the files", at("key")),
    ("system", "what distributed the file", at("point", "system")),
    ("peers", "number of peers, N; the origin is not one", at("point", "peers")),
    ("size_bytes", "size of the file", at("point", "size")),
    ("link_mbit_per_second", "rate of each host's link; empty: no rate was set", at("point", "bw")),
    ("scenario", "what is unusual about the point, in words; empty: the plain star", at("point", "scenario")),
    ("repeat", "which repetition of its point, from 1", at("repeat")),
    ("position", "place of the run in the order of the sweep, from 1", at("position")),
    ("seed", "seed of that order", at("seed")),
    ("started_at", "when the run began, ISO 8601, UTC", at("started_at")),
    ("fanout_version", "commit that fanout's programs say they are of; empty: none took part in the sweep",
     at("env", "versions", "fanout")),
    ("machine", "name of the machine that emulated the network", at("env", "host")),
    ("kernel", "its Linux", at("env", "kernel")),
    ("command", "the sweep's command line", at("command")),
    ("prometheus", "whether Prometheus scraped all daemons meanwhile, over their links", at("prometheus")))

RUNS: Columns = (
    *RUN,
    ("title", "the system's name in tables and figures", at("title")),
    ("kind", "client-server or p2p (peer-to-peer): which bound applies", at("kind")),
    ("uplinks_mbit_per_second", "the peers' uplinks as RATExPEERS, where they differ from their links",
     rates("uplinks")),
    ("links_mbit_per_second", "the peers' links, both ways, as RATExPEERS, where they differ from the origin's",
     rates("links")),
    ("origins_mbit_per_second", "the origins' links, both ways, as RATExORIGINS; empty: one as fast as the links",
     rates("origins")),
    ("seeder_mbit_per_second", "uplink of a host that had the file before; empty: none did", at("point", "seeder")),
    ("kill", "PEERS@PERCENT: so many peers were killed once they had so much of the file", at("point", "kill")),
    ("freeze", "PEERS@PERCENT: so many peers were stopped for good once they had so much of the file",
     at("point", "freeze")),
    ("join", "PEERS@PERCENT: so many peers came once the others had so much of the file", at("point", "join")),
    ("hostile", "KIND:N, hostile members: liar (N hosts that served wrong bytes), claimer (N that claimed to have "
     "everything and sent nothing), or N sessions with every daemon that read nothing (mute), said nothing (idle) or "
     "sent what nobody asked for (drip); empty: none", hostile),
    ("hostile_deeds", "how often liars sent a wrong chunk; of other kinds, sessions they had; empty: none", deeds),
    ("topology", "star, or two-racks: a switch each, a trunk between", at("point", "topology")),
    ("trunk_mbit_per_second", "rate of the trunk between the racks", at("point", "trunk")),
    ("queue_milliseconds", "bound of the queues, as time at the link's rate; empty: the kernel's default",
     at("point", "queue_ms")),
    ("delay_milliseconds", "delay added to every link, one way", at("point", "delay_ms")),
    ("loss_percent", "packets dropped at random on every link", at("point", "loss")),
    ("switch", "kind of software switch: bridge or ovs", at("point", "switch")),
    ("status", "ok: every expected peer has the whole file, byte for byte; else failed", at("status")),
    ("error", "why it failed", at("error")),
    ("ended_at", "when the run had ended, ISO 8601, UTC", at("ended_at")),
    ("available_peers", "peers that had the whole file, byte for byte", at("available")),
    ("expected_peers", "peers that were to have it: all that were not killed or frozen", at("expected")),
    ("mean_seconds", "mean of the peers' times, each from its own start", at("mean_seconds")),
    ("mean_bound_seconds", "least possible mean; empty: no rate, or peers joined late", at("mean_bound_seconds")),
    ("mean_ratio", "mean_seconds / mean_bound_seconds", mean_ratio),
    ("distribution_seconds", "from the common start until the last peer had the file",
     at("distribution_seconds")),
    ("fast_seconds", "the same for the peers with the fastest links; empty: all are alike", at("fast_seconds")),
    ("bound_seconds", "least possible distribution time; empty: no rate", at("bound_seconds")),
    ("distribution_ratio", "distribution_seconds / bound_seconds", at("ratio")),
    ("daemon_distribution_seconds", "the last peer's time by its program's own clock, from the common start",
     last_daemon),
    ("start_skew_seconds", "between the first and the last peer's being told to start", at("start_skew_seconds")),
    ("origin_sent_bytes", "payload the origin, or all origins together, sent", at("origin", "sent_bytes")),
    ("origin_sent_source", "system: the program told; link: reckoned from its interface", at("origin", "sent_source")),
    ("origin_sent_ratio", "origin_sent_bytes / size_bytes", files_sent),
    ("peer_received_ratio", "payload that reached a peer with the whole file, on average / size_bytes; "
     "above 1: some came twice", files_received),
    ("retransmitted_segments", "TCP segments sent again, all hosts", at("retransmits")),
    ("queue_limit_packets", "bound of a switch port's queue in packets; empty: not bounded so",
     at("queue", "limit_packets")),
    ("queue_limit_bytes", "bound of a switch port's queue in bytes; empty: not bounded so", at("queue", "limit_bytes")),
    ("queue_dropped_packets", "packets that full queues of the switches' ports dropped", at("queue", "dropped")),
    ("tcp_rmem_bytes", "TCP's receive buffer: least, initial, most", at("buffers", "rmem")),
    ("tcp_wmem_bytes", "TCP's send buffer: least, initial, most", at("buffers", "wmem")),
    ("daemon_cpu_seconds", "CPU time of all the system's processes", at("cpu", "daemon_seconds")),
    ("daemon_cpu_seconds_per_gib", "the same, for each GiB delivered", at("cpu", "daemon_seconds_per_gib")),
    ("machine_cpu_seconds", "CPU time of the whole machine during the run", at("cpu", "machine_seconds")),
    ("machine_busy_percent", "share of all processors' time that was not idle", percent("cpu", "busy")),
    ("machine_busy_max_percent", "the same in the busiest moment", percent("cpu", "busy_max")),
    ("machine_full_percent", "share of the run in which no processor was idle", percent("cpu", "full_windows")),
    ("machine_softirq_percent", "share of processor time in interrupts", percent("cpu", "softirq")),
    ("machine_steal_percent", "share of processor time that a virtual machine's host took", percent("cpu", "steal")),
    ("disturbed_by", "why the processors disturbed the run; empty: they did not, or links had no rate",
     at("cpu", "exhausted")),
    ("load_1_minute", "the machine's load average before the run", at("load")),
    ("congestion_control", "TCP's default congestion control; fanout uses reno on short paths",
     at("env", "congestion_control")),
    ("cpus", "processors of the machine", at("env", "cpus")),
    ("cpu_model", "their model", at("env", "cpu_model")),
    ("memory_gib", "its memory", at("env", "memory_gib")),
    ("versions", "every program and its version", versions))

TRAFFIC: Columns = (
    ("host", "emulated host: h1 is the origin, o2 the second one, h2 the first peer, x1 the first hostile one, "
     "tracker the tracker", at("host")),
    ("role", "origin, tracker, peer, late (a peer that joined later), killed, frozen, seeder, or hostile",
     at("role")),
    ("received_payload_bytes", "payload received, reckoned from the interface: file, messages, and what TCP sent again",
     at("received_payload")),
    ("host_retransmitted_segments", "TCP segments this host sent again", at("retransmits")),
    ("cpu_seconds", "CPU time of the system's processes on this host", at("cpu_seconds")))

PEERS: Columns = (
    *TRAFFIC,
    ("verified", "1: has the whole file, byte for byte; else 0", lambda p: int(p["verified"])),
    ("error_of_peer", "what went wrong with this peer", at("error")),
    ("asked_seconds", "when it was told to start, from the common start", at("asked")),
    ("started_seconds", "when its time begins, from the common start: 0 unless it joined late", at("started")),
    ("driver_seconds", "its time: from its start until it has the file, as the driver saw it", at("driver_seconds")),
    ("finished_seconds", "started_seconds + driver_seconds", finished),
    ("daemon_seconds", "its time by its program's own clock", at("daemon_seconds")),
    ("from_origin_bytes", "payload it got from the origin, by its own account", at("bytes_from_origin")),
    ("from_peers_bytes", "payload it got from other peers, by its own account", at("bytes_from_peers")),
    ("killed_at_seconds", "when it was killed, from the common start", at("killed_at_seconds")),
    ("killed_at_percent", "how much of the file it had then", percent("killed_share")),
    ("frozen_at_seconds", "when it was frozen, from the common start", at("frozen_at_seconds")),
    ("frozen_at_percent", "how much of the file it had then", percent("frozen_share")),
    ("joined_at_seconds", "when it was told to join, from the common start: its program starts then",
     at("joined_at_seconds")),
    ("joined_at_percent", "how much of the file the others had then, on average", percent("joined_share")))

HOSTS: Columns = (
    *TRAFFIC,
    ("received_bytes", "bytes its interface received; headers once for what TCP handed on as one packet",
     at("rx_bytes")),
    ("received_packets", "packets its interface received (bursts count once)", at("rx_packets")),
    ("sent_bytes", "bytes its interface sent", at("tx_bytes")),
    ("sent_packets", "packets its interface sent (bursts count once)", at("tx_packets")))


def spread(name: str, what: str, of: Callable[[Row], Stat]) -> Columns:
    """A median and its interval, as three columns; `name` has {} where they differ."""
    return ((name.format(""), f"{what}: median", lambda r: of(r).median),
            (name.format("_low"), "lower end of that median's 95 % interval (bootstrap); of up to five used_runs, the "
             "least, which is less than 95 %: 94 for 5, 87 for 4, 75 for 3, 50 for 2",
             lambda r: of(r).low),
            (name.format("_high"), "upper end of that interval; of up to five runs, the greatest",
             lambda r: of(r).high))


SUMMARY: Columns = (
    ("system", "what distributed the file", lambda r: r.system),
    ("title", "the system's name in tables and figures", lambda r: r.title),
    ("scenario", "what is unusual about the point, in words; empty: the plain star", lambda r: r.point.scenario()),
    ("hosts", "the origin and its peers: N + 1", lambda r: r.point.peers + 1),
    ("peers", "number of peers, N; the origin is not one", lambda r: r.point.peers),
    ("size_bytes", "size of the file", lambda r: r.point.size),
    ("link_mbit_per_second", "rate of each host's link; empty: no rate was set", lambda r: r.point.bw),
    ("runs", "runs of the point", lambda r: len(r.records)),
    ("ok_runs", "those that succeeded", lambda r: len(r.ok)),
    ("disturbed_runs", "those that succeeded and that the processors disturbed", lambda r: len(r.exhausted)),
    ("used_runs", "those that the medians are over: not disturbed or, where all were, all", lambda r: len(r.used)),
    ("available_peers", "peers that had the whole file, byte for byte, in all runs together", lambda r: r.available),
    ("expected_peers", "peers that were to have it, in all runs together", lambda r: r.expected),
    *spread("mean{}_seconds", "mean of the peers' times", lambda r: r.mean),
    ("mean_bound_seconds", "least possible mean; empty: no rate, or peers joined late", lambda r: r.mean_bound.median),
    *spread("distribution{}_seconds", "from the common start until the last peer had the file",
            lambda r: r.distribution),
    *spread("fast{}_seconds", "the same for the peers with the fastest links; empty: all are alike",
            lambda r: r.fast),
    ("daemon_distribution_seconds", "the last peer's time by its program's own clock: median",
     lambda r: r.daemon.median),
    ("bound_seconds", "least possible distribution time; empty: no rate", lambda r: r.bound.median),
    *spread("distribution{}_ratio", "distribution_seconds / bound_seconds", lambda r: r.ratio),
    ("direct_ratio", "distribution_seconds / that of direct at the same point or, where it was not measured, its "
     "bound; above 1: worse than client/server", lambda r: r.against_direct()),
    ("direct_measured", "1: direct_ratio is by direct's median; 0: by its bound", lambda r: int(bool(r.direct))),
    ("origin_sent_ratio", "payload the origin sent / size_bytes: median", lambda r: r.origin.median),
    ("peer_received_ratio", "received_payload_bytes of a peer with the whole file / size_bytes: median",
     lambda r: r.received.median),
    ("daemon_cpu_seconds_per_gib", "CPU time of all the system's processes for each GiB delivered: median",
     lambda r: r.cpu.median),
    ("machine_busy_percent", "share of all processors' time that was not idle: median",
     lambda r: None if r.busy.median is None else 100 * r.busy.median),
    ("retransmitted_segments", "TCP segments sent again, all hosts: median", lambda r: r.retransmits.median))


def run_hosts(record: Record) -> Iterator[Record]:
    """The hosts of a run that got so far as to be measured."""
    if "origin" in record:
        yield {"host": "h1", "role": "origin", **record["origin"]}
        yield from ({"role": "origin", **host} for host in record.get("more_origins", ()))
        yield {"host": "tracker", "role": "tracker", **record["tracker"]}
    yield from record.get("peers", ())
    if record.get("seeder"):
        yield {"role": "seeder", **record["seeder"]}
    for intruder in (*record.get("hostile", ()), *record.get("liars", ())):  # earlier versions had liars only
        yield {"role": "hostile", **intruder}


# file, what a row is, columns
FILES: Dict[str, Tuple[str, Columns]] = {
    "summary.csv": ("a row per point: medians over its runs", SUMMARY),
    "runs.csv": ("a row per run, failed ones, too", RUNS),
    "peers.csv": ("a row per peer and run", (*RUN, *PEERS)),
    "hosts.csv": ("a row per host and run: origins, tracker, peers and others, with their interfaces' counters",
                  (*RUN, *HOSTS))}


def cells(columns: Columns, of: Any) -> List[Any]:
    values = [get(of) for _, _, get in columns]
    return ["" if v is None else f"{v:.9g}" if isinstance(v, float) else v for v in values]


def write_csv(directory: str, name: str, lines: Iterable[List[Any]]) -> None:
    # The command may name files that are not UTF-8.
    with open(os.path.join(directory, name), "w", encoding="utf-8", errors="backslashreplace", newline="") as f:
        out = csv.writer(f)
        out.writerow([column for column, _, _ in FILES[name][1]])
        out.writerows(lines)


def write(directory: str, config: Config, records: Sequence[Record], all_rows: Sequence[Row]) -> None:
    """summary.csv, runs.csv, peers.csv, hosts.csv, and the data dictionary."""
    full: List[Record] = [{"seed": config.get("seed"), **r, "command": config.get("command")} for r in records]
    write_csv(directory, "summary.csv", (cells(SUMMARY, r) for r in all_rows))
    write_csv(directory, "runs.csv", (cells(RUNS, r) for r in full))
    write_csv(directory, "peers.csv", (cells(RUN, r) + cells(PEERS, p) for r in full for p in r.get("peers", ())))
    write_csv(directory, "hosts.csv", (cells(RUN, r) + cells(HOSTS, h) for r in full for h in run_hosts(r)))
    with open(os.path.join(directory, DICTIONARY), "w", encoding="utf-8") as f:
        f.write(dictionary())


def dictionary() -> str:
    """data-dictionary.md: what every column of every file means."""
    out = ["# What the columns mean", "",
           "The unit is the end of a column's name. Times are in seconds, sizes in bytes, rates in Mbit/s "
           "(10⁶ bits). An empty field is a value that there is none of. Columns of the same name mean the same "
           "in every file; `run` joins `peers.csv` and `hosts.csv` to `runs.csv`.", ""]
    for name, (what, columns) in FILES.items():
        out += [f"## {name}: {what}", "", "| column | meaning |", "|---|---|",
                *(f"| `{column}` | {meaning} |" for column, meaning, _ in columns), ""]
    return "\n".join(out)
