#!/bin/sh
# Installs what the make targets need beside Go, on Debian and Ubuntu. Does nothing, and at
# once, where all is there.
#
#   scripts/setup.sh test       what `make test` needs
#   scripts/setup.sh bench      what `make bench` needs
#   scripts/setup.sh compose    what `make compose-test` needs: a container engine
#
# No service of these packages is started.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=""
need() { # need PACKAGE COMMAND
	command -v "$2" >/dev/null 2>&1 || case " $missing " in *" $1 "*) ;; *) missing="$missing $1" ;; esac
}

command -v go >/dev/null 2>&1 || {
	echo "setup.sh: there is no go command: install Go 1.26 or later from https://go.dev/dl/ and put it on the PATH" >&2
	exit 1
}
for what; do
	case $what in
	test)
		need gcc gcc               # the race detector
		need libc6-dev ldd
		need curl curl             # the rest: what the README uses
		need jq jq
		need netcat-openbsd nc
		need b3sum b3sum
		need util-linux unshare
		need iproute2 ip
		need chromium chromium     # the tracker's page
		need prometheus prometheus # the dashboards and rules
		need python3 /usr/bin/python3
		need systemd systemd-analyze # the units
		;;
	bench)
		need curl curl
		need nginx-light nginx
		;;
	compose)
		need docker.io dockerd
		need docker-compose docker-compose
		need busybox-static busybox # stands in for the base images
		need prometheus prometheus
		need git git
		need curl curl
		need jq jq
		need util-linux nsenter
		need iproute2 ip
		# Where Debian's client is 20.10, BuildKit is in it.
		case " $missing " in *" docker.io "*)
			apt-cache show docker-buildx >/dev/null 2>&1 && missing="$missing docker-buildx docker-cli"
			;;
		esac
		;;
	*)
		echo "setup.sh: $what: give test, bench or compose" >&2
		exit 2
		;;
	esac
done

# A compiler without the C library's headers is as good as none.
case " $* $missing " in
*" gcc "*) missing="$missing libc6-dev" ;;
*" test "*) echo '#include <stdlib.h>' | gcc -E -x c - >/dev/null 2>&1 || missing="$missing libc6-dev" ;;
esac

missing=${missing# }
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || {
	echo "setup.sh: install these with your package manager: $missing" >&2
	exit 1
}
[ "$(id -u)" = 0 ] || {
	echo "setup.sh: installing $missing needs root: run sudo scripts/setup.sh $*" >&2
	exit 1
}

# While packages are being installed, tell dpkg to start no service.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
echo "setup.sh: installing $missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list
install() { apt-get -qq install -y --no-install-recommends $missing >&2; }
# The package lists may be missing or old: only then is it worth fetching them.
install 2>/dev/null || { apt-get -qq update >&2 && install; }
[ -d /run/systemd/system ] || exit 0
disable() { # disable PACKAGE UNIT...: not at the next start of the machine either
	case " $missing " in *" $1 "*) shift && systemctl -q disable "$@" 2>/dev/null || true ;; esac
}
disable nginx-light nginx
disable prometheus prometheus
disable docker.io docker.service docker.socket containerd.service
