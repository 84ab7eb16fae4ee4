#!/usr/bin/env bash
#
# install.sh: installs RabbitMQ from Debian's (or Ubuntu's) own packages when it is missing.
#
# Only the programs are wanted: a broker that the package would start, now and at each boot, is
# kept from starting, because node.sh runs private ones. To have the system's broker as well:
#
#   sudo systemctl enable --now rabbitmq-server
#
# Uses sudo when it is not run as root. Does nothing when RabbitMQ is there.

set -euo pipefail

server=/usr/lib/rabbitmq/bin/rabbitmq-server
policy=/usr/sbin/policy-rc.d

say() {
  echo "install.sh: $*" >&2
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "needs root and finds no sudo; as root, run: apt-get install rabbitmq-server"
    exit 77
  fi
}

# A policy that stands already is the administrator's and stays as it is.
forbid_services() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  trap 'as_root rm -f "$policy"' EXIT
}

# The package's scripts start Erlang's port mapper; it refuses to end while any node needs it.
leave_nothing_running() {
  if [ -d /run/systemd/system ]; then
    as_root systemctl disable --quiet rabbitmq-server || true
  fi
  as_root epmd -kill >/dev/null 2>&1 || true
}

if [ $# -gt 0 ]; then
  sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit 0
fi
if [ -x "$server" ]; then
  say "RabbitMQ is installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  say "knows apt-get only; install RabbitMQ 3.10 or later by other means, or set AMQP_URL to a broker"
  exit 69
fi
say "installing rabbitmq-server with apt-get"
forbid_services
as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server
leave_nothing_running
say "installed $(dpkg-query -W -f '${Package} ${Version}' rabbitmq-server)"
