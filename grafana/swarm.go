package grafana

// swarm shows a distribution while it happens.
func swarm() *Dashboard {
	const (
		file  = `{file=~"$file"}`
		peer  = `{instance=~"$instance"}`
		rate  = `{instance=~"$instance"}[$__rate_interval])`
		fetch = `sum by (le) (increase(fanout_chunk_fetch_duration_seconds_bucket{source="`
	)
	return newDashboard("fanout-swarm", "fanout / Swarm",
		"A distribution while it happens: who has how much, from where, how fast, and what goes wrong.",
		[]Variable{
			choice("file", "File", "Published files.", `fanout_tracker_file_size_bytes`),
			choice("instance", "Instance", "The HTTP addresses of origins and peers.", `fanout_sessions`),
		},
		number("Peers", "Peers in the swarms of the files, by the state of their download.", "none",
			query(`sum by (state) (fanout_tracker_file_peers{file=~"$file", state=~"queued|downloading|complete"})`, "{{state}}")).size(6, 4),
		number("Peers in trouble", "Peers whose download failed, and those that fell silent before they had ended.", "none",
			query(`sum by (state) (fanout_tracker_file_peers{file=~"$file", state=~"failed|lost"})`, "{{state}}"),
			query(`sum(fanout_downloads_stalled`+peer+`)`, "stalled")).size(6, 4).colours("green", 1, "red"),
		number("Received", "Verified payload that all peers receive now.", "binBps",
			query(`sum(rate(fanout_received_bytes_total`+rate+`)`, "all peers")).size(6, 4),
		number("Origin egress", "What the origins have sent for the running or last distribution, as they count it, in sizes of the file. About 1 is as good as it gets.", "none",
			query(`max by (file) (fanout_tracker_file_distribution_egress_ratio`+file+`)`, "{{file}}")).size(6, 4).decimals(2).colours("green", 1.5, "yellow", 3, "red"),
		row("Progress"),
		graph("Progress of every peer", "Verified part of each download. Lines that run together are a swarm at work; a flat one waits.", "percentunit",
			query(`fanout_download_progress_ratio{file=~"$file", instance=~"$instance"}`, "{{id}} {{file}}")).size(12, 9).max(1).values("lastNotNull"),
		bars("Slowest peers", "The twenty downloads under way or ended with the least of the file.", "percentunit",
			now(`bottomk(20, fanout_download_progress_ratio{file=~"$file", instance=~"$instance"})`, "{{id}} {{file}}")).size(12, 9).max(1).colours("red", 0.25, "orange", 0.75, "yellow", 1, "green"),
		graph("Rate of every peer", "Verified payload that each peer receives.", "binBps",
			query(`sum by (id) (rate(fanout_received_bytes_total`+rate+`)`, "{{id}}")).values("lastNotNull", "max"),
		graph("Where the bytes come from", "Payload received by all peers, by source. In a swarm the origin's part shrinks as peers are added.", "binBps",
			query(`sum by (source) (rate(fanout_received_bytes_total`+rate+`)`, "{{source}}")).stacked(),
		row("The origin"),
		graph("Origin egress against size", "What the origins have sent in the running or last distribution, as they count it, beside the size of the file: the closer, the better.", "bytes",
			query(`max by (file) (fanout_tracker_file_distribution_origin_sent_bytes`+file+`)`, "{{file}} sent"),
			query(`max by (file) (fanout_tracker_file_size_bytes`+file+`)`, "{{file}} size")),
		graph("Received in the distribution", "Bytes that all peers have received in the running or last distribution, by source.", "bytes",
			query(`sum by (source) (fanout_tracker_file_distribution_bytes`+file+`)`, "{{source}}")).stacked(),
		graph("Origin upload", "Payload that the origin sends, by file.", "binBps",
			query(`sum by (file) (rate(fanout_origin_file_sent_bytes_total{file=~"$file"}[$__rate_interval]))`, "{{file}}")),
		graph("What the origin is asked for", "Chunks handed out, which make a peer their owner, and chunks asked for by number, which nobody else had.", "cps",
			query(`sum(rate(fanout_origin_handouts_total[$__rate_interval]))`, "handouts"),
			query(`sum(rate(fanout_origin_requests_total[$__rate_interval]))`, "requests")),
		row("Peers among themselves"),
		graph("Upload of every daemon", "Payload that origins and peers send. Peers with a lower line have less to give, or a slower uplink.", "binBps",
			query(`sum by (id) (rate(fanout_sent_bytes_total`+rate+`)`, "{{id}}")).values("lastNotNull", "max"),
		graph("Sessions", "Open sessions of the chunk protocol.", "none",
			query(`sum by (id) (fanout_sessions`+peer+`)`, "{{id}}")).decimals(0).values("lastNotNull"),
		graph("Upload backlog", "Chunks that wait for an upload slot. A daemon whose backlog stays high is the bottleneck.", "none",
			query(`sum by (id) (fanout_upload_queue_chunks`+peer+`)`, "{{id}}")).decimals(0).values("lastNotNull", "max"),
		graph("Work done twice", "Part of the received payload that was there already. A few per cent come with the tail of every distribution.", "percentunit",
			query(`sum(increase(fanout_duplicate_bytes_total`+rate+`) / (sum(increase(fanout_received_bytes_total`+rate+`) > 0)`, "duplicates")),
		row("Chunks"),
		heatmap("Chunk time from the origin", "Time from the first byte of a chunk until it was verified and stored, for chunks that the origin sent.", "s",
			buckets(fetch+`origin", instance=~"$instance"}[$__rate_interval]))`)),
		heatmap("Chunk time from peers", "The same for chunks that peers sent.", "s",
			buckets(fetch+`peer", instance=~"$instance"}[$__rate_interval]))`)),
		graph("Chunks with wrong bytes", "Chunks whose digest did not match; the peer that sent them is dropped and banned.", "none",
			query(`sum by (id) (increase(fanout_chunk_verify_failures_total`+rate+`)`, "{{id}}")),
		graph("Sessions refused", "Sessions that were refused or closed for the other side's fault, by the error code of the protocol.", "none",
			query(`sum by (code) (increase(fanout_sessions_rejected_total`+rate+`)`, "{{code}}")),
	)
}
