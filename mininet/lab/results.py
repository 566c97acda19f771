"""What a sweep leaves: results.jsonl (a line per run), and from it tables to read and tables to compute with."""

import json
import os
from typing import Any, Dict, Iterable, List, Sequence, Set

from . import registry, stats, tidy, units
from .stats import Config, Record, Row, rows

RESULTS, SUMMARY_MD, CONFIG = "results.jsonl", "summary.md", "sweep.json"


def append(directory: str, record: Record) -> None:
    """One line, on the disk before the next run starts."""
    with open(os.path.join(directory, RESULTS), "a", encoding="utf-8") as f:
        f.write(json.dumps(record, separators=(",", ":")) + "\n")
        f.flush()
        os.fsync(f.fileno())


def load(directory: str) -> List[Record]:
    """The last record of every run, in order. A line that is none, as after a crash, is skipped: its run counts as
    not done."""
    records: Dict[str, Record] = {}
    try:
        with open(os.path.join(directory, RESULTS), encoding="utf-8", errors="replace") as f:
            for line in f:
                try:
                    r = json.loads(line)
                    stats.Row([r])  # all that a table needs is there
                    if r["ended_at"]:
                        records[r["key"]] = r
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
    except FileNotFoundError:
        pass
    return list(records.values())


def done(records: Iterable[Record], again: bool) -> Set[str]:
    """Keys of the runs that --resume need not repeat: those that went well or, with --again, those
    that had processors enough, too. Pure."""
    return {r["key"] for r in records
            if r["status"] == "ok" and not (again and r["cpu"]["exhausted"])}


def write(directory: str, config: Config) -> List[Row]:
    """All tables, from what is in results.jsonl; returns the rows of the summary."""
    records = load(directory)
    all_rows = rows(records, config)
    tidy.write(directory, config, records, all_rows)
    with open(os.path.join(directory, SUMMARY_MD), "w", encoding="utf-8", errors="backslashreplace") as f:
        f.write(markdown(config, records))
    return all_rows


def table(all_rows: Sequence[Row]) -> str:
    """The Markdown table of a sweep. Size and link have columns where they vary."""
    columns: List[Any] = [("system", "---", lambda r: r.title)]
    if len({r.point.size for r in all_rows}) > 1:
        columns.append(("size", "--:", lambda r: units.human_size(r.point.size)))
    if len({r.point.bw for r in all_rows}) > 1:
        columns.append(("link", "--:", lambda r: units.human_rate(r.point.bw)))
    columns += [
        ("hosts", "--:", lambda r: str(r.point.peers + 1)),
        ("peers", "--:", lambda r: str(r.point.peers)),
        ("average (s)", "--:", lambda r: r.mean.text()),
        ("distribution (s)", "--:", lambda r: r.distribution.text())]
    if any(r.point.fast() for r in all_rows):
        columns.append(("fast ones (s)", "--:", lambda r: r.fast.text()))
    columns += [
        ("bound (s)", "--:", lambda r: r.bound.text(spread=False)),
        ("÷ bound", "--:", lambda r: r.ratio.text(spread=False) + (" ○" if r.disturbed else "")),
        ("÷ direct", "--:", against_direct),
        ("origin sent (× file)", "--:", lambda r: r.origin.text(spread=False)),
        ("peer got (× file)", "--:", lambda r: r.received.text(spread=False)),
        ("CPU s/GiB", "--:", lambda r: r.cpu.text("{:.1f}", spread=False)),
        ("available", "--:", lambda r: r.availability()),
        ("notes", "---", lambda r: r.notes())]
    lines = ["| " + " | ".join(name for name, _, _ in columns) + " |",
             "|" + "|".join(rule for _, rule, _ in columns) + "|"]
    lines += ["| " + " | ".join(of(r) for _, _, of in columns) + " |" for r in all_rows]
    return "\n".join(lines)


def against_direct(row: Row) -> str:
    """'0.25', or '0.25 †' where direct was not measured."""
    ratio = row.against_direct()
    return "–" if ratio is None else f"{ratio:.2f}" + ("" if row.direct else " †")


def comparison(all_rows: Sequence[Row]) -> List[str]:
    """What is to be said above a table of the column that compares with direct."""
    out = []
    if any(not r.direct and r.against_direct() for r in all_rows):
        out += ["† `direct` was not measured at this point, and in its place stands the bound of client/server, which "
                "it cannot beat.", ""]
    ours = {name for name, system in registry.systems().items() if system.built}
    worse = [r for r in all_rows if r.system in ours and r.worse_than_direct()]
    if worse:
        out += ["**Warning: worse than direct:** " + "; ".join(map(named, worse)) + ".", ""]
    return out


def named(row: Row) -> str:
    """A row of the table, in words."""
    p = row.point
    parts = [row.title, units.counted(p.peers, "peer"), units.human_size(p.size), units.human_rate(p.bw),
             p.scenario()]
    return ", ".join(filter(None, parts)) + f" ({row.against_direct():.2f} ×{'' if row.direct else ' †'})"


def markdown(config: Config, records: Sequence[Record]) -> str:
    """summary.md."""
    all_rows = rows(records, config)
    if not all_rows:
        return "# Sweep\n\nNo run has ended yet.\n"
    out = [f"# {heading(all_rows)}", "",
           provenance(config, records), "", *warnings(records),
           "Times are medians over the runs that the processors did not disturb, with the 95 % interval "
           "of the median (bootstrap; of five runs or fewer it goes from the fastest to the slowest). "
           "*average* is the mean transfer time of the peers, *distribution* ends with the last of them. "
           "*fast ones* are the peers with the fastest links, where links differ: the time of their last. "
           "*bound* is that of the last peer. *÷ direct* is the distribution time divided by that of `direct`, "
           "fanout's client/server, at the same point of the sweep. *available* counts peers that have the whole "
           "file, byte for byte. Every run, peer and host is in `runs.csv`, `peers.csv` and `hosts.csv`; "
           f"`{tidy.DICTIONARY}` says what their columns mean.", "",
           *comparison(all_rows), table(all_rows), ""]
    return "\n".join(out + disturbances(all_rows) + failures(records))


def heading(all_rows: Sequence[Row]) -> str:
    """'10 MiB at 100 Mbit/s', with every size and every link of the sweep."""
    sizes = sorted({r.point.size for r in all_rows})
    links = sorted({r.point.bw for r in all_rows}, key=stats.link_order)
    return ", ".join(units.human_size(s) for s in sizes) + " at " + ", ".join(units.human_rate(b) for b in links)


def disturbances(all_rows: Sequence[Row]) -> List[str]:
    """Which points the processors disturbed, and how."""
    spent = [r for r in all_rows if r.exhausted]
    if not spent:
        return []
    out = ["The emulating machine ran out of CPU in these runs. They are left out of the medians; a point of "
           "which all runs were disturbed (○, a hollow marker) measures the machine, not the network:", ""]
    for title in dict.fromkeys(r.title for r in spent):
        out.append(f"- {title}: " + ", ".join(
            f"{units.counted(r.point.peers, 'peer')}, {units.human_size(r.point.size)}, "
            f"{units.human_rate(r.point.bw)} ({len(r.exhausted)} of {units.counted(len(r.ok), 'run')}, "
            f"{worst(r.exhausted)})" for r in spent if r.title == title))
    return out + [""]


def worst(records: Sequence[Record]) -> str:
    """Why the run with the busiest machine is not believed."""
    return max(records, key=lambda r: r["cpu"]["busy"])["cpu"]["exhausted"]


def failures(records: Sequence[Record]) -> List[str]:
    failed = [r for r in records if r["status"] != "ok"]
    if not failed:
        return []
    return ["Failed runs (logs in `logs/`):", "", *(f"- `{r['key']}`: {r['error']}" for r in failed), ""]


def provenance(config: Config, records: Sequence[Record]) -> str:
    """Which command, when, on what: one paragraph that names all there was."""
    times = sorted(r["ended_at"] for r in records)
    first, last = (t[:16].replace("T", " ") for t in (times[0], times[-1]))
    if first[:10] == last[:10]:
        last = last[11:]
    seed = f", seed {config['seed']}" if config.get("seed") is not None else ""
    return f"`{config.get('command', 'sweep.py')}`{seed}, {first} to {last} UTC, on {surroundings(records)}."


def surroundings(records: Sequence[Record]) -> str:
    """The machine, its kernel and every program's version; where there were several, how many runs each had."""
    envs = [r.get("env", {}) for r in records]
    machine = [e.get("host", "") + (": " if e.get("host") else "") +
               f"{e.get('cpus')} × {e.get('cpu_model')}, {e.get('memory_gib')} GiB" for e in envs]
    parts = [tally(machine), "Linux " + tally([e.get("kernel") for e in envs]),
             tally([e.get("congestion_control") for e in envs])]
    programs = dict.fromkeys(name for e in envs for name in e.get("versions", {}))
    return ", ".join(p for p in parts if p) + "; " + ", ".join(
        f"{name} " + tally([e.get("versions", {}).get(name) for e in envs]) for name in programs)


def tally(values: Iterable[Any]) -> str:
    """['a', 'a', None] -> 'a'; ['a', 'b', 'a'] -> 'a (2 runs), b (1 run)'."""
    known = [v for v in values if v is not None]
    different = list(dict.fromkeys(known))
    if len(different) == 1:
        return str(different[0])
    return ", ".join(f"{v} ({units.counted(known.count(v), 'run')})" for v in different)


def warnings(records: Sequence[Record]) -> List[str]:
    """A line for what should have been the same in all runs of a sweep and was not."""
    envs = [r.get("env", {}) for r in records]
    seen: Dict[str, Set[Any]] = {}
    for e in envs:
        for name, value in (("machine", e.get("host")), ("kernel", e.get("kernel")), *e.get("versions", {}).items()):
            seen.setdefault(name, set()).add(value)
    names = [name for name, values in seen.items() if len(values - {None}) > 1]
    if not names:
        return []
    return [f"**Warning: not all runs had the same {', '.join(names)}.** `runs.csv` says which had which.", ""]


def section(title: str, config: Config, records: Sequence[Record]) -> str:
    """A sweep as part of a longer document."""
    all_rows = rows(records, config)
    return "\n".join([f"## {title}", "", provenance(config, records), "", *warnings(records),
                      *comparison(all_rows), table(all_rows)]) + "\n"
