#!/bin/sh
# Installs what the lab needs, on Debian and Ubuntu. Does nothing, and at once, where all is there.
#
#   mininet/setup.sh           install what is missing (needs root)
#   mininet/setup.sh --test    and what the lab's own tests need
#   mininet/setup.sh --check   print what is missing to measure; status 1 if anything is
#
# Services of the packages (nginx, prometheus, opentracker) are neither started nor, if this
# script installed them, left to start at the next boot: the lab starts its own.
set -eu
PATH=$PATH:/usr/sbin:/sbin
PY=/usr/bin/python3

mode=${1:-}
case $mode in "" | --test | --check) ;; *) echo "usage: setup.sh [--test | --check]" >&2; exit 2 ;; esac

missing=""
need() { # need PACKAGE COMMAND...: the package, unless all the commands are there
	package=$1; shift
	for command; do
		command -v "$command" >/dev/null 2>&1 || { missing="$missing $package"; return 0; }
	done
}
module() { # module PACKAGE MODULE
	case $modules in *" $2 "*) ;; *) missing="$missing $1" ;; esac
}

need mininet mnexec
need bridge-utils brctl
need iproute2 ip tc
need net-tools ifconfig
need iputils-ping ping
need ethtool ethtool
need procps sysctl
need prometheus prometheus
need nginx-light nginx
need curl curl
need aria2 aria2c
need opentracker opentracker
need python3 "$PY"
if [ "$mode" = --test ]; then
	need mypy mypy
	need flake8 flake8
	need iptables iptables
fi
modules=" $(cd / && $PY -c '
from importlib.util import find_spec
print(*(m for m in ("mininet", "matplotlib", "libtorrent", "pytest", "pandas") if find_spec(m)))' 2>/dev/null || true) "
case $missing in *mininet*) ;; *) module mininet mininet ;; esac
module python3-matplotlib matplotlib
module python3-libtorrent libtorrent
if [ "$mode" = --test ]; then
	module python3-pytest pytest
	module python3-pandas pandas
fi

missing=${missing# }
[ -n "$missing" ] || exit 0
if [ "$mode" = --check ]; then
	echo "$missing"
	exit 1
fi
command -v apt-get >/dev/null || { echo "setup.sh: install these with your package manager: $missing" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "setup.sh: installing $missing needs root: run it with sudo" >&2; exit 1; }

# While packages are being installed, tell dpkg to start no service.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
	trap 'exit 130' INT # which dash takes for no exit
	trap 'exit 143' TERM HUP
fi
echo "setup.sh: installing $missing" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update >&2
# shellcheck disable=SC2086 # a list
apt-get -qq install -y --no-install-recommends $missing >&2

if [ -d /run/systemd/system ]; then
	for package in $missing; do
		case $package in
		nginx-light) units=nginx ;;
		prometheus) units=prometheus ;;
		opentracker) units=opentracker ;;
		*) units="" ;;
		esac
		for unit in $units; do systemctl -q disable "$unit" 2>/dev/null || true; done
	done
fi
