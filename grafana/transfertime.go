package grafana

// transferTime answers how long it takes: the fleet's transfers, and the sweeps of the lab
// beside their bound.
func transferTime() *Dashboard {
	const (
		peer    = `{outcome="complete", instance=~"$instance"}`
		quantum = `sum by (le, strategy) (increase(fanout_transfer_duration_seconds_bucket` + peer + `[$__range]))`
		lab     = `{system=~"$system"}[$__range])`
	)
	last := func(metric string) string {
		return `max by (system, peers) (last_over_time(` + metric + lab + `)`
	}
	return newDashboard("fanout-transfer-time", "fanout / Transfer time",
		"How long it takes to put a file on the fleet, and in the sweeps of the lab how far that is from the physical limit.",
		[]Variable{
			choice("file", "File", "Published files.", `fanout_tracker_file_size_bytes`),
			choice("instance", "Instance", "The peers' HTTP addresses.", `fanout_transfers_total`),
			choice("system", "System", "What a sweep compares.", `fanout_lab_bound_seconds`),
		},
		row("The fleet"),
		number("Last distribution", "Time from the start of a file's last finished distribution until its last peer had the whole file.", "s",
			now(`max by (file) (fanout_tracker_file_distribution_duration_seconds{file=~"$file"})`, "{{file}}")).decimals(2),
		number("Origin egress", "What the origin has sent for a file's running or last distribution, in sizes of the file. About 1 is as good as it gets; client/server needs 1 for each peer.", "none",
			now(`max by (file) (fanout_tracker_file_distribution_egress_ratio{file=~"$file"})`, "{{file}}")).decimals(2).colours("green", 1.5, "yellow", 3, "red"),
		number("Under way", "Distributions that are running now.", "none",
			query(`sum(fanout_tracker_distributions_running)`, "distributions")),
		number("Transfers ended", "Downloads of single peers that ended in the time shown, by outcome.", "none",
			now(`sum by (outcome) (round(increase(fanout_transfers_total{instance=~"$instance"}[$__range])))`, "{{outcome}}")).decimals(0),
		timeline("Distributions", "When a distribution of each file was under way.",
			map[string]Object{"0": {"text": "idle", "color": "transparent", "index": 0}, "1": {"text": "under way", "color": "blue", "index": 1}},
			query(`max by (file) (fanout_tracker_file_distribution_running{file=~"$file"})`, "{{file}}")).size(24, 5),
		against("peers", "strategy", "Distribution time by number of peers",
			"Median time of the distributions that the tracker has seen since it was started, by strategy. The number of peers is rounded up to a power of two. Files of all sizes count, so compare like with like.", "s",
			`histogram_quantile(0.5, sum by (le, strategy, peers) (fanout_tracker_distribution_duration_seconds_bucket{peers!="more"}))`),
		against("peers", "strategy", "Origin egress by number of peers",
			"Mean of what the origin sent for a distribution, in sizes of the file, since the tracker was started.", "none",
			`sum by (strategy, peers) (fanout_tracker_distribution_egress_ratio_sum{peers!="more"}) / sum by (strategy, peers) (fanout_tracker_distribution_egress_ratio_count{peers!="more"})`),
		bars("Transfer time of a peer", "Percentiles of the complete downloads in the time shown, by strategy. With a swarm the median is close to the slowest; with direct it is not.", "s",
			now(`histogram_quantile(0.5, `+quantum+`)`, "{{strategy}} median"),
			now(`histogram_quantile(0.9, `+quantum+`)`, "{{strategy}} 90 %"),
			now(`histogram_quantile(0.99, `+quantum+`)`, "{{strategy}} 99 %")),
		heatmap("Transfers over time", "Complete downloads by how long they took, when they ended.", "s",
			buckets(`sum by (le) (increase(fanout_transfer_duration_seconds_bucket`+peer+`[$__rate_interval]))`)),
		row("Sweeps of the lab: Prometheus of mininet/sweep.py, or sweep.py prom DIR"),
		against("peers", "system", "Distribution time against number of peers",
			"The report's figure: time until the last peer has the file. Client/server climbs in a line, peer-to-peer is flat.", "s",
			last("fanout_lab_distribution_seconds")).size(12, 10),
		against("peers", "system", "Ratio to the bound",
			"Distribution time by the least time possible for that kind of system. 1 is the physical limit.", "none",
			last("fanout_lab_distribution_seconds")+" / "+last("fanout_lab_bound_seconds")).limit("green", 1, "green", 1.25, "orange"),
		against("peers", "system", "Mean transfer time", "Mean over the peers of the time until each has the file.", "s",
			last("fanout_lab_mean_seconds")).size(8, 8),
		against("peers", "system", "Origin upload", "What the origin sent, in sizes of the file.", "none",
			last("fanout_lab_origin_sent_ratio")).size(8, 8),
		against("peers", "system", "Machine busy", "How busy the emulating machine was. A point near 100 % measures the machine, not the network.", "percentunit",
			last("fanout_lab_cpu_busy_ratio")).size(8, 8).max(1).limit("green", 0.9, "red"),
		number("Runs", "Runs of the sweep that ended, by outcome, and how many there will be.", "none",
			now(`sum by (outcome) (fanout_lab_runs_total{system=~"$system"})`, "{{outcome}}"),
			now(`max(fanout_lab_runs_planned)`, "planned")).size(8, 6).decimals(0),
		rows("Now running", "The run that is going on, or was the last.", "none",
			map[string]string{"system": "System", "peers": "Peers", "size_bytes": "Size (bytes)", "bw_mbit": "Links (Mbit/s)", "repeat": "Run", "Value": "", "instance": ""},
			table(`fanout_lab_point_info`)).size(8, 6),
		graph("Distribution time as measured", "Every run's time as it ends, and the bound.", "s",
			query(`max by (system) (fanout_lab_distribution_seconds{system=~"$system"} and on (system, peers) fanout_lab_point_info)`, "{{system}}"),
			query(`max by (system) (fanout_lab_bound_seconds{system=~"$system"} and on (system, peers) fanout_lab_point_info)`, "{{system}} bound")).size(8, 6).steps(),
	)
}
