#!/usr/bin/env bash
#
# install.sh: installs what the demo drives, from Debian's (or Ubuntu's) packages, when it is missing:
# RabbitMQ, ffmpeg, curl, the sqlite3 command; and a C compiler, which the build needs.
#
# Uses sudo when it is not run as root. Does nothing when everything is there.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() {
  echo "install.sh: $*" >&2
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "needs root and finds no sudo; as root, run: apt-get install ${missing[*]}"
    exit 77
  fi
}

missing=()
need() {
  command -v "$1" >/dev/null || missing+=("$2")
}
need ffmpeg ffmpeg
need sqlite3 sqlite3
need curl curl
need cc gcc
need cc libc6-dev

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    say "knows apt-get only; install by other means: ${missing[*]}"
    exit 69
  fi
  say "installing ${missing[*]} with apt-get"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || "$root/rabbitmq/install.sh"

if ! command -v cargo >/dev/null; then
  say "Rust is missing; install it and open a new shell:"
  say "  curl -fsS https://sh.rustup.rs | sh -s -- -y"
  exit 69
fi
