"""The notebook, on a made-up sweep: its code runs as it stands."""

import json
import os

import pytest
import synthetic

from lab import REPO, results


def test_the_notebook_runs(tmp_path, monkeypatch):
    pytest.importorskip("pandas", reason="python3-pandas is not installed")
    import matplotlib
    matplotlib.use("Agg")
    points = [synthetic.point(s, n, bw=bw) for s in ("direct", "swarm") for n in (1, 2, 4) for bw in (100.0, None)]
    config = synthetic.sweep(str(tmp_path), points, repeat=3, axis="hosts",
                             exhausted=lambda p, r: "processors 99 % busy" if r == 3 else None)
    results.write(str(tmp_path), config)
    monkeypatch.setenv("SWEEP", str(tmp_path))
    with open(os.path.join(REPO, "mininet", "report.ipynb"), encoding="utf-8") as f:
        notebook = json.load(f)
    seen = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None, "commit it without its outputs"
            exec(compile("".join(cell["source"]), "report.ipynb", "exec"), seen)
    found = seen["points"]
    assert len(found) == len(points) and set(found.runs) == {2}  # the disturbed run of each is left out
    swarm = found[(found.title == "fanout swarm") & (found.link == "100 Mbit/s")]
    assert list(swarm.peers) == [1, 2, 4] and (swarm.mean_seconds >= swarm.mean_bound_seconds).all()
    assert set(seen["largest"].peers) == {4}
    import matplotlib.pyplot as plt
    assert len(plt.get_fignums()) == 2
    plt.close("all")
