"""What a sweep leaves: results.jsonl (a line a run), summary.csv and summary.md. Mostly pure."""

import csv
import json
import os
from statistics import median

from . import plan, registry, units

RESULTS, SUMMARY_CSV, SUMMARY_MD, CONFIG = "results.jsonl", "summary.csv", "summary.md", "sweep.json"


def append(directory, record):
    """One line, on the disk before the next run starts."""
    with open(os.path.join(directory, RESULTS), "a", encoding="utf-8") as f:
        f.write(json.dumps(record, separators=(",", ":")) + "\n")
        f.flush()
        os.fsync(f.fileno())


def load(directory):
    """The last record of every run, in order. A line cut short by a crash is skipped."""
    records = {}
    try:
        with open(os.path.join(directory, RESULTS), encoding="utf-8") as f:
            for line in f:
                try:
                    r = json.loads(line)
                    records[r["key"]] = r
                except (ValueError, KeyError):
                    continue
    except FileNotFoundError:
        pass
    return list(records.values())


def done(records, again):
    """Keys of the runs that --resume need not repeat: those that went well or, with --again, those
    that had processors enough, too. Pure."""
    return {r["key"] for r in records
            if r["status"] == "ok" and not (again and r["cpu"]["exhausted"])}


class Stat:
    """Median with minimum and maximum."""

    def __init__(self, values):
        values = [v for v in values if v is not None]
        self.n = len(values)
        self.median = median(values) if values else None
        self.low = min(values, default=None)
        self.high = max(values, default=None)

    def text(self, fmt="{:.2f}", spread=True):
        if self.median is None:
            return "–"
        out = fmt.format(self.median)
        if spread and self.n > 1:
            out += f" ({fmt.format(self.low)}–{fmt.format(self.high)})"
        return out


class Row:
    """All runs of one point."""

    def __init__(self, records):
        self.records = records
        self.point = plan.Point.from_dict(records[0]["point"])
        self.system = self.point.system
        self.kind = records[0]["kind"]
        self.ok = [r for r in records if r["status"] == "ok"]
        size = self.point.size
        self.bound = Stat(r["bound_seconds"] for r in self.ok or records if r.get("bound_seconds"))
        self.mean = Stat(r["mean_seconds"] for r in self.ok)
        self.distribution = Stat(r["distribution_seconds"] for r in self.ok)
        self.ratio = Stat(r["ratio"] for r in self.ok)
        self.daemon = Stat(slowest_daemon(r) for r in self.ok)
        self.origin = Stat(r["origin"]["sent_bytes"] / size for r in self.ok)
        self.received = Stat(received(r) / size for r in self.ok)
        self.cpu = Stat(r["cpu"]["daemon_seconds_per_gib"] for r in self.ok)
        self.busy = Stat(r["cpu"]["busy"] for r in self.ok)
        self.retransmits = Stat(r["retransmits"] for r in self.ok)
        self.exhausted = [r for r in self.ok if r["cpu"]["exhausted"]]
        self.available = sum(r.get("available", 0) for r in records)
        self.expected = sum(r.get("expected", self.point.peers) for r in records)

    @property
    def out_of_cpu(self):
        """Half of the runs or more measured the machine, so the median does."""
        return bool(self.ok) and 2 * len(self.exhausted) >= len(self.ok)

    def availability(self):
        share = 100 * self.available / self.expected if self.expected else 0
        runs = len(self.records)
        n, m = self.available, self.expected
        if runs > 1 and n % runs == 0 and m % runs == 0:
            n, m = n // runs, m // runs
        return f"{n}/{m} ({share:.0f}%)" if share in (0, 100) else f"{n}/{m} ({share:.1f}%)"

    def notes(self):
        words = []
        if self.point.scenario():
            words.append(self.point.scenario())
        if self.exhausted:
            words.append(f"out of CPU in {len(self.exhausted)} of {len(self.ok)}")
        if len(self.ok) < len(self.records):
            words.append(f"{len(self.records) - len(self.ok)} of {len(self.records)} failed")
        return "; ".join(words)


def slowest_daemon(record):
    """The last peer's time as the daemons report it, counted from the common start."""
    times = [p["started"] + p["daemon_seconds"] for p in record["peers"]
             if p["verified"] and p["daemon_seconds"] is not None]
    return max(times, default=None)


def worst(records):
    """Why the run with the busiest machine is not believed."""
    return max(records, key=lambda r: r["cpu"]["busy"])["cpu"]["exhausted"]


def received(record):
    """Payload bytes that reached a peer with the whole file, on average: above F, some came twice."""
    seen = [p["received_payload"] for p in record["peers"] if p["verified"]]
    return sum(seen) / len(seen)


def rows(records):
    """One Row a point, ordered by scenario, system and size of the swarm."""
    groups = {}
    for r in records:
        groups.setdefault(json.dumps(r["point"], sort_keys=True), []).append(r)
    order = {name: i for i, name in enumerate(registry.systems())}
    return sorted((Row(g) for g in groups.values()),
                  key=lambda r: (r.point.scenario(), order.get(r.system, 99), r.point.peers))


CSV_COLUMNS = ("system", "scenario", "hosts", "peers", "size_bytes", "bw_mbit", "runs", "ok",
               "available", "expected",
               "mean_s", "mean_min_s", "mean_max_s",
               "distribution_s", "distribution_min_s", "distribution_max_s", "daemon_distribution_s",
               "bound_s", "ratio", "ratio_min", "ratio_max",
               "origin_sent_ratio", "received_ratio", "cpu_s_per_gib", "machine_busy", "retransmits", "out_of_cpu")


def csv_row(row):
    p = row.point
    values = (p.system, p.scenario(), p.peers + 1, p.peers, p.size, f"{p.bw:g}",
              len(row.records), len(row.ok), row.available, row.expected,
              row.mean.median, row.mean.low, row.mean.high,
              row.distribution.median, row.distribution.low, row.distribution.high,
              row.daemon.median, row.bound.median, row.ratio.median, row.ratio.low, row.ratio.high,
              row.origin.median, row.received.median, row.cpu.median, row.busy.median, row.retransmits.median,
              len(row.exhausted))
    return ["" if v is None else f"{v:.4f}" if isinstance(v, float) else v for v in values]


def write_csv(directory, all_rows):
    with open(os.path.join(directory, SUMMARY_CSV), "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(CSV_COLUMNS)
        out.writerows(csv_row(r) for r in all_rows)


def table(all_rows):
    """The Markdown table of a sweep."""
    titles = {n: c.title for n, c in registry.systems().items()}
    head = ("system", "hosts", "peers", "average (s)", "distribution (s)", "bound (s)", "÷ bound",
            "origin sent (× file)", "peer got (× file)", "CPU s/GiB", "available", "notes")
    lines = ["| " + " | ".join(head) + " |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    for r in all_rows:
        mark = " ○" if r.out_of_cpu else ""
        lines.append("| " + " | ".join((
            titles.get(r.system, r.system), str(r.point.peers + 1), str(r.point.peers),
            r.mean.text(spread=False), r.distribution.text(), r.bound.text(spread=False),
            r.ratio.text(spread=False) + mark, r.origin.text(spread=False), r.received.text(spread=False),
            r.cpu.text("{:.1f}", spread=False), r.availability(), r.notes())) + " |")
    return "\n".join(lines)


def markdown(config, records):
    """summary.md."""
    all_rows = rows(records)
    if not all_rows:
        return "# Sweep\n\nNo run has ended yet.\n"
    p = all_rows[0].point
    out = [f"# {units.human_size(p.size)} at {p.bw:g} Mbit/s", "",
           provenance(config, records), "",
           "Times are medians over the runs (min–max). *average* is the mean transfer time of the "
           "peers, *distribution* ends with the last of them. *available* counts peers that have "
           "the whole file, byte for byte.", "",
           table(all_rows), ""]
    spent = [r for r in all_rows if r.exhausted]
    if spent:
        out += ["○ and hollow markers: the emulating machine ran out of CPU, so the point "
                "measures the machine, not the network:", ""]
        for system in dict.fromkeys(r.system for r in spent):
            out.append(f"- {system}: " + ", ".join(
                f"{r.point.peers} peers ({len(r.exhausted)} of {len(r.ok)} runs, "
                f"{worst(r.exhausted)})" for r in spent if r.system == system))
        out += [""]
    failed = [r for r in records if r["status"] != "ok"]
    if failed:
        out += ["Failed runs (logs in `logs/`):", ""]
        out += [f"- `{r['key']}`: {r['error']}" for r in failed] + [""]
    return "\n".join(out)


def provenance(config, records):
    """Which command, when, on what: one paragraph."""
    times = sorted(r["ended_at"] for r in records)
    return (f"`{config.get('command', 'sweep.py')}`, {times[0][:16].replace('T', ' ')} to "
            f"{times[-1][11:16]} UTC, on {env_line(merged_env(records))}")


def section(title, config, records):
    """A sweep as part of a longer document."""
    return "\n\n".join((f"## {title}", provenance(config, records), table(rows(records)))) + "\n"


def merged_env(records):
    """The surroundings of all records; later ones complete earlier ones."""
    env = {"versions": {}}
    for r in records:
        e = r.get("env", {})
        env.update({k: v for k, v in e.items() if k != "versions"})
        env["versions"].update(e.get("versions", {}))
    return env


def env_line(env):
    versions = ", ".join(f"{k} {v}" for k, v in env["versions"].items())
    return (f"{env.get('cpus')} × {env.get('cpu_model')}, {env.get('memory_gib')} GiB, "
            f"Linux {env.get('kernel')}, {env.get('congestion_control')}; {versions}.")


def write(directory, config):
    """summary.csv and summary.md from what is in results.jsonl; returns the rows."""
    records = load(directory)
    all_rows = rows(records)
    write_csv(directory, all_rows)
    with open(os.path.join(directory, SUMMARY_MD), "w", encoding="utf-8") as f:
        f.write(markdown(config, records))
    return all_rows
