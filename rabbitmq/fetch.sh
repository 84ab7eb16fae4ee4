#!/usr/bin/env bash
#
# fetch.sh VERSION FOLDER: a RabbitMQ of another version, without installing it.
#
#   fetch.sh 3.10 FOLDER     Debian 12's
#   fetch.sh 4.0  FOLDER     Debian 13's
#   fetch.sh 4.3  FOLDER     Debian unstable's, at the time of writing 4.3
#
# Takes RabbitMQ, its Erlang and a C library that fits from Debian's package archive (apt checks the
# signatures) and unpacks them into FOLDER, about 250 MB. No package script runs and the machine's
# own packages stay as they are. Run a node of it, as root because it is a chroot:
#
#   RABBITMQ_ROOT=FOLDER rabbitmq/node.sh start NAME
#
# Needs apt-get, dpkg-deb, tar and debian-archive-keyring; no root. DEBIAN_MIRROR names another
# archive than http://deb.debian.org/debian.

set -euo pipefail

fail() {
  echo "fetch.sh: $*" >&2
  exit 1
}

case ${1:-} in
  3.10) suite=bookworm ;;
  4.0) suite=trixie ;;
  4.3) suite=sid ;;
  -h | --help) sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 0 ;;
  *) sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 64 ;;
esac
[ -n "${2:-}" ] || fail "say where to: fetch.sh $1 FOLDER"
mkdir -p "$2"
root=$(cd "$2" && pwd)
apt=$root/.apt
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The server, and of what its scripts call only what is not there by itself.
wanted=(rabbitmq-server bash coreutils dash grep hostname mawk sed)

# An apt of its own: its lists, its idea of what is installed (nothing), its cache.
prepare_apt() {
  [ -e "$keyring" ] || fail "$keyring is missing; apt-get install debian-archive-keyring"
  mkdir -p "$apt"/{lists/partial,archives/partial}
  : >"$apt/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/sources.list"
}

own_apt() {
  local tool=$1
  shift
  "$tool" -qq \
    -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$apt/lists" -o Dir::State::Status="$apt/status" \
    -o Dir::Cache="$apt" -o Dir::Cache::Archives="$apt/archives" \
    -o APT::Install-Recommends=false -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Debug::NoLocking=true "$@"
}

download() {
  own_apt apt-get update
  # rabbitmq-server depends on a way to make users; of those, this one brings nothing with it.
  local users=systemd-standalone-sysusers
  [ -z "$(own_apt apt-cache show $users 2>/dev/null)" ] || wanted+=($users)
  own_apt apt-get install --yes --download-only "${wanted[@]}"
}

# Debian has had /bin, /lib, ... as links into /usr since 12; the packages count on it.
unpack() {
  local folder package
  for folder in bin sbin lib lib64; do
    mkdir -p "$root/usr/$folder"
    ln -sfn "usr/$folder" "$root/$folder"
  done
  for package in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
      tar --extract --no-same-owner --keep-directory-symlink --directory "$root"
  done
}

# What the packages' scripts would have made.
furnish() {
  mkdir -p "$root"/{dev,etc,node,proc,root,run,tmp}
  chmod 1777 "$root/tmp"
  echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  echo "127.0.0.1 localhost $(uname -n)" >"$root/etc/hosts"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  ln -sfn mawk "$root/usr/bin/awk"
  ln -sfn dash "$root/usr/bin/sh"
}

prepare_apt
download
unpack
furnish
rm -rf "$apt/archives" "$apt/lists"
ls -d "$root"/usr/lib/rabbitmq/lib/rabbitmq_server-* >/dev/null 2>&1 ||
  fail "the packages of $suite hold no RabbitMQ where it is expected"
basename "$root"/usr/lib/rabbitmq/lib/rabbitmq_server-*
