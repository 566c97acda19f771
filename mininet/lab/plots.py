"""Which figures a sweep has, from its results alone; figures.py draws them. Pure, but for the files.

Every figure stands by itself: its title says what, its subtitle of what file, links and runs.
"""

import json
import os
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import bound, results, stats, units
from .figures import Axis, Line, Page, Rival
from .stats import Row

STRATEGIES = ("direct", "static", "swarm")
FIGURE = re.compile(r"(client-server-vs-p2p|cpu|curves|distribution|mean-client-server|mean-p2p|means|origin-upload"
                    r"|ratio|regimes|time-by-system)(-.*)?\.(png|svg)")
DWARFED = 4.0  # client/server this many times above peer-to-peer leaves nothing of it to be seen


def draw(directory: str, config: Dict[str, Any]) -> List[str]:
    """Draws everything there is data for; returns the names of the files. Figures of an earlier time go."""
    rows = [r for r in stats.rows(results.load(directory), config) if r.ok]
    page = Page(directory)
    for name in filter(FIGURE.fullmatch, os.listdir(directory)):
        os.remove(os.path.join(directory, name))
    links = list(dict.fromkeys((r.point.size, r.point.bw) for r in rows))
    if len(links) > 2 and regimes(page, rows):
        return page.files
    for size, bw in links:
        chosen = [r for r in rows if (r.point.size, r.point.bw) == (size, bw)]
        page.begin(subtitle(chosen), suffix(size, bw, links))
        of_one_link(page, directory, chosen, config.get("axis", "peers"))
    return page.files


def suffix(size: int, bw: Optional[float], links: Sequence[Tuple[int, Optional[float]]]) -> str:
    """What tells the figures of several links, or sizes, apart in their names."""
    parts = []
    if len({s for s, _ in links}) > 1:
        parts.append(units.human_size(size).replace(" ", ""))
    if len({b for _, b in links}) > 1:
        parts.append("no-rate" if bw is None else f"{bw:g}M")
    return "".join(f"-{p}" for p in parts)


def subtitle(rows: Sequence[Row]) -> str:
    text = conditions(rows)
    fewest, most = min(len(r.used) for r in rows), max(len(r.used) for r in rows)
    if most == 1:
        return text + "; one run"
    few = most <= 5  # a bootstrap of so few can say no more
    return text + (f"; median of {fewest if fewest == most else f'{fewest} to {most}'} runs, "
                   f"whiskers: {'from the least to the greatest' if few else 'its 95 % interval'}")


def conditions(rows: Sequence[Row]) -> str:
    """The file, the links, and what is unusual."""
    p = rows[0].point
    text = f"{units.human_size(p.size)}, " + ("links without a rate" if p.bw is None else f"links of {p.bw:g} Mbit/s")
    scenarios = sorted({r.point.scenario() for r in rows} - {""})
    if scenarios:
        text += ", " + " / ".join(scenarios)
    return text


def of_one_link(page: Page, directory: str, rows: List[Row], what: str) -> None:
    """The figures for points that differ in system, scenario and peers only."""
    axis = Axis(rows, what)
    means(page, axis, rows)
    two = len({r.kind for r in rows}) == 2
    page.lines(("Client/server against peer-to-peer: d" if two else "D") + "istribution time",
               "client-server-vs-p2p" if two else "distribution", axis,
               panels(rows, "distribution", "bound"), "distribution time (s)")
    if not axis.single:
        page.grid("Mean and last peer", "time-by-system", axis, [both(g) for g in stats.grouped(rows)], "seconds")
    if any(r.ratio.median is not None for r in rows):
        page.lines("Distance from the bound", "ratio", axis, [lines(rows, "ratio")],
                   "distribution time ÷ bound of its kind", floor=(1.0, "bound"))
    page.lines("What the origin had to send", "origin-upload", axis, [lines(rows, "origin")],
               "bytes sent by the origin ÷ file size", floor=(1.0, "one copy"))
    page.lines("CPU time of all daemons", "cpu", axis, [lines(rows, "cpu")], "CPU seconds per GiB delivered")
    for system in dict.fromkeys(r.system for r in rows):
        curves(page, directory, [r for r in rows if r.system == system])


def means(page: Page, axis: Axis, rows: List[Row]) -> None:
    """The report's three figures, with the bounds of means."""
    if axis.single:
        return
    kinds = (("client-server", "mean-client-server", "Client/server"), ("p2p", "mean-p2p", "Peer-to-peer"))
    for kind, name, title in kinds:
        chosen = [r for r in rows if r.kind == kind]
        if chosen:
            page.lines(f"{title}: mean transfer time", name, axis, [lines(chosen, "mean", "mean_bound")],
                       "mean transfer time (s)")
    if len({r.kind for r in rows}) == 2:
        page.lines("Client/server and peer-to-peer: mean transfer time", "means", axis,
                   panels(rows, "mean", "mean_bound"), "mean transfer time (s)")


def lines(rows: Sequence[Row], field: str, least: str = "") -> List[Line]:
    """A line per system and scenario and, of the field named by `least`, one per kind of bound."""
    groups = stats.grouped(rows)
    out = [Line(g, field, name_of(g, groups)) for g in groups]
    if least:
        for kind, what in (("client-server", "client/server"), ("p2p", "peer-to-peer")):
            chosen = [r for r in rows if r.kind == kind and getattr(r, least).median is not None]
            head = "bound of the mean of" if least == "mean_bound" else "bound of"
            if chosen and agree(chosen, least):
                out.append(Line(chosen, least, f"{head} {what}", kind))
            else:
                out += [Line(g, least, f"{head} {name_of(g, groups)}", kind, own=True) for g in stats.grouped(chosen)]
    return out


def agree(rows: Sequence[Row], least: str) -> bool:
    """Whether one line of bounds is enough. It is not where scenarios differ, or latecomers, who came to each
    system at another moment. Where systems are along the axis, each has its own bound there anyway."""
    seen: Dict[int, float] = {}
    values = [(r.point.peers, getattr(r, least).median) for r in rows]
    same = all(abs(v - seen.setdefault(n, v)) <= 1e-6 * v for n, v in values)
    return same or len({n for n, _ in values}) == 1


def panels(rows: List[Row], field: str, least: str) -> List[List[Line]]:
    """One panel; and a second, of peer-to-peer alone, where client/server dwarfs it."""
    p2p = [r for r in rows if r.kind == "p2p"]
    top = [max(getattr(r, field).median for r in some) if some else 0.0
           for some in (p2p, [r for r in rows if r.kind != "p2p"])]
    both_kinds = [lines(rows, field, least)]
    if p2p and top[1] > DWARFED * top[0]:
        both_kinds.append(lines(p2p, field, least))
    return both_kinds


def both(group: List[Row]) -> Tuple[str, List[Line]]:
    """A panel of a system's own: its last peer and its mean, each with its own bound."""
    out = [Line(group, "distribution", "last peer"), Line(group, "mean", "mean", pale=True)]
    for field, label in (("bound", "bound of the last peer"), ("mean_bound", "bound of the mean")):
        if all(getattr(r, field).median is not None for r in group):
            out.append(Line(group, field, label, "p2p" if field == "bound" else "mean"))
    return name_of(group, [group, group]), out


def name_of(group: List[Row], groups: Sequence[List[Row]]) -> str:
    """The system, and its scenario where the figure has several."""
    scenario = group[0].point.scenario()
    several = len({g[0].point.scenario() for g in groups}) > 1
    return f"{group[0].title}, {scenario}" if several and scenario else group[0].title


def curves(page: Page, directory: str, rows: List[Row]) -> None:
    """What each peer has over time, in the most typical run with the most peers."""
    row = max(rows, key=lambda r: r.point.peers)
    middle = row.distribution.median or 0.0
    record = min(row.used, key=lambda r: abs(r["distribution_seconds"] - middle))
    try:
        with open(os.path.join(directory, "curves", record["key"] + ".json"), encoding="ascii") as f:
            seen = json.load(f)
        seen["times"], [seen["received"][peer["host"]] for peer in record["peers"]]
    except (OSError, ValueError, TypeError, KeyError):
        return  # not kept, or cut short by a full disk
    which = f"; run {record['repeat']} of {len(row.records)}, the most typical" if len(row.records) > 1 else "; one run"
    page.curves(f"{row.title}: {'every peer' if row.point.peers > 1 else 'the peer'} over time",
                f"curves-{row.system}", record, seen, row.point.size, conditions([row]) + which)


def regimes(page: Page, rows: List[Row]) -> bool:
    """The map of which strategy wins where; False where there are not two of them to compare."""
    chosen = [r for r in rows if r.system in STRATEGIES and not r.point.scenario()]
    if len({r.system for r in chosen}) < 2 or len({r.point.peers for r in chosen}) < 2:
        return False
    unshaped = "; without a rate, distribution time" if any(r.point.bw is None for r in chosen) else ""
    page.begin(f"{most_runs(chosen)}; several colours: their intervals meet; "
               f"numbers: distribution time ÷ bound of peer-to-peer{unshaped}", "")
    cells: Dict[Tuple[int, Optional[float], int], List[Rival]] = {}
    for r in chosen:
        least = bound.for_point(r.point, "p2p") or 1.0  # without a rate, there are seconds instead
        time = r.distribution
        if time.median is not None and time.low is not None and time.high is not None:
            cells.setdefault((r.point.size, r.point.bw, r.point.peers), []).append(
                Rival(r.system, time.median / least, time.low / least, time.high / least, r.disturbed, r.few))
    page.regimes("Which strategy wins where", "regimes", cells)
    return True


def most_runs(rows: Sequence[Row]) -> str:
    n = max(len(r.used) for r in rows)
    return f"median of up to {n} runs" if n > 1 else "one run"
