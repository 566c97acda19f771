# For compose-test.sh: a container engine in namespaces of its own, and stand-ins for the base
# images. It uses $work, $ns and $engine, and where Go is.

start_engine() {
	ip netns add "$ns"
	ip netns exec "$ns" ip link set lo up
	# Not by ip netns exec, which mounts a /sys without cgroups. When unshare ends, so does every
	# process of the new namespace. Engines write to two places whatever they are told: not to
	# this machine's.
	nsenter --net="/run/netns/$ns" unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
		sh -c 'for d in /etc/docker /run/containerd; do mkdir -p $d && mount -t tmpfs none $d; done; exec dockerd "$@"' engine \
		--data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" --host "$DOCKER_HOST" \
		--cgroup-parent "/$ns" >"$work/engine.log" 2>&1 &
	engine=$!
	for _ in $(seq 100); do
		docker version >/dev/null 2>&1 && return
		kill -0 $engine 2>/dev/null || break
		sleep .2
	done
	tail -n 20 "$work/engine.log" >&2
	fail 'the engine does not start'
}

stop_engine() {
	set +e
	[ -z "$engine" ] || { kill -9 "$engine" && wait "$engine"; } 2>/dev/null
	for _ in $(seq 50); do # until the last process of the namespaces has gone
		ip netns del "$ns" 2>/dev/null
		find /sys/fs/cgroup -depth -type d -path "*/$ns*" -exec rmdir {} + 2>/dev/null
		rm -rf "$work" 2>/dev/null
		[ ! -e "$work" ] && [ -z "$(find /sys/fs/cgroup -type d -path "*/$ns*" -print -quit 2>/dev/null)" ] && break
		sleep .2
	done
	rmdir /etc/docker /run/containerd 2>/dev/null # where they are empty
}

# base IMAGE DIRECTORY CHANGE...: makes an image of a directory.
base() {
	local image=$1 dir=$2 changes=() && shift 2
	for change; do changes+=(-c "$change"); done
	tar -C "$dir" -c . | docker import "${changes[@]}" - "$image" >/dev/null
}

# program DIRECTORY PATH: copies it to bin, and the libraries that it needs.
program() {
	mkdir -p "$1/bin"
	cp "$2" "$1/bin/"
	{ ldd "$2" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | xargs -r cp -L --parents -t "$1"
}

# applets DIRECTORY NAME...: a shell and tools.
applets() {
	local dir=$1 && shift
	mkdir -p "$dir/tmp" "$dir/proc"
	chmod 1777 "$dir/tmp"
	program "$dir" "$(command -v busybox)"
	for name; do ln -s busybox "$dir/bin/$name"; done
}

# image NAME: as Dockerfile and docker-compose.yml want it, with its tag.
image() { sed -n "s#^FROM \($1:[^ ]*\).*#\1#p; s#^ *image: \($1:[^ ]*\).*#\1#p" Dockerfile docker-compose.yml; }

# base_images makes Go of this machine's and the modules, Prometheus of this machine's, and a
# Grafana that has nothing but an answer to its health check.
base_images() {
	local go=$work/golang prometheus=$work/prometheus grafana=$work/grafana
	applets "$go" sh mkdir chown find sort xargs sha256sum cut
	mkdir -p "$go/etc/ssl/certs" "$go/usr/local/go" "$go/go/pkg"
	cp /etc/ssl/certs/ca-certificates.crt "$go/etc/ssl/certs/"
	tar -C "$GOROOT" --exclude ./test --exclude ./api --exclude ./doc -c . | tar -x -C "$go/usr/local/go"
	GOMODCACHE=$go/go/pkg/mod GOFLAGS=-modcacherw GOPROXY=file://$MODULES/cache/download,$PROXY go mod download
	base "$(image golang)" "$go" 'ENV GOPATH=/go GOTOOLCHAIN=local GOPROXY=off PATH=/usr/local/go/bin:/bin'

	applets "$prometheus" sh wget
	mkdir -p "$prometheus/prometheus" "$prometheus/etc/prometheus"
	program "$prometheus" "$(command -v prometheus)"
	# An older promtool cannot `check ready`.
	printf '#!/bin/sh\nexec wget -q -O /dev/null http://127.0.0.1:9090/-/ready\n' >"$prometheus/bin/promtool"
	chmod 755 "$prometheus/bin/promtool"
	chown 65534:65534 "$prometheus/prometheus"
	base "$(image prom/prometheus)" "$prometheus" 'USER 65534:65534' 'ENV PATH=/bin' 'WORKDIR /prometheus' \
		'VOLUME /prometheus' 'ENTRYPOINT ["/bin/prometheus"]'

	applets "$grafana" wget
	mkdir -p "$grafana/www/api" "$grafana/var/lib/grafana" "$grafana/etc/grafana"
	echo '{}' >"$grafana/www/api/health"
	base "$(image grafana/grafana)" "$grafana" 'USER 472' 'ENV PATH=/bin' \
		'ENTRYPOINT ["/bin/busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]'
	rm -rf "$go" "$prometheus" "$grafana"
}
