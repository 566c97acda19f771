"""The exporter of the lab's driver, without the lab: the driver's own code publishes runs whose
results are made up, and serves them. Prints the address, and ends when standard input does."""

import json
import os
import sys

REPO, DIR = sys.argv[1:]
sys.path.insert(0, os.path.join(REPO, "mininet"))

from lab import bound, driver, plan, prom, registry  # noqa: E402


class Runner:
    """Stands in for the one that measures."""

    def __init__(self, run, system_class, *_):
        self.seconds = 1.1 * bound.for_point(run.point, system_class.kind)
        self.size = run.point.size

    def go(self):
        return {"status": "ok", "distribution_seconds": self.seconds, "mean_seconds": 0.9 * self.seconds,
                "origin": {"sent_bytes": 1.05 * self.size}, "cpu": {"busy": 0.4, "exhausted": False}}


driver.Runner = Runner
points = [plan.Point(system, peers, 10 << 20, 100.0) for peers in (1, 2, 10) for system in ("direct", "swarm")]
sweep = driver.Sweep(DIR, {"points": [p.as_dict() for p in points], "repeat": 1}, REPO, DIR,
                     registry.systems())
sweep.metrics.set("fanout_lab_runs_planned", len(points))
for run in (plan.Run(p, 1) for p in points):
    sweep._publish(run.point, sweep._one(run, None))
server, address = prom.serve(sweep.metrics)
print(json.dumps({"address": address, "metrics": list(prom.Metrics.HELP)}), flush=True)
sys.stdin.read()
