#!/usr/bin/env bash
#
# node.sh COMMAND NAME [ARGUMENTS]: a private RabbitMQ node, beside any broker the machine runs.
#
#   start NAME [PORT]   starts the node and returns when it accepts work. Without PORT it takes the
#                       port it had before, or else a free one. Ten ports from PORT on are used:
#                       AMQP, distribution, epmd, management, then those of rabbitmqctl.
#   stop NAME           stops it in order, as an operator would
#   kill NAME           kill -9, as the kernel would
#   restart NAME        stop, then start on the same port with the same data
#   status NAME         prints "running" or "stopped"; exit code 0 or 3
#   env NAME            prints AMQP_URL=... and more, for `export $(node.sh env NAME)`
#   ctl NAME ARGS...    rabbitmqctl for this node; rabbitmq-queues, rabbitmq-plugins, ... when the
#                       first argument is one of these
#   pid NAME            the process id of its Erlang VM
#   log NAME            the file it logs to
#   wipe NAME           kills it and forgets everything it had
#   hold NAME [PORT]    starts it, prints its env, and wipes it when standard input ends: a node that
#                       lives as long as the program that asked for it, however that one ends
#
# All it has lies in ${CELERIAC_WORK:-./.work}/NAME, and it listens on 127.0.0.1 only, with its
# own cookie and its own epmd. It needs no root and never touches another node.
#
# Environment, read by `start` and remembered in the folder:
#   RABBITMQ_ROOT   a folder made by fetch.sh: run that RabbitMQ instead of the installed one (root)
#   NODE_PLUGINS    plug-ins, separated by commas (default rabbitmq_management)
#   NODE_CONF       further lines for rabbitmq.conf
#   NODE_ADDRESS    where to listen (default 127.0.0.1)
#   NODE_HOST       host part of the node name (default localhost)
#   NODE_HOSTS      a file to be used as /etc/hosts (root)
#   NODE_NETNS      run inside this `ip netns` (root)
#   NODE_COOKIE     the Erlang cookie, when several nodes are to talk to each other
#   NODE_PATIENCE   seconds to wait for the start (default 120)

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

fail() {
  echo "node.sh: $*" >&2
  exit 1
}

# --- the folder and what it remembers -----------------------------------------------------------

# The settings of an earlier start are the defaults of this one.
recall() {
  local given
  given=$(declare -p RABBITMQ_ROOT NODE_PLUGINS NODE_CONF NODE_ADDRESS NODE_HOST NODE_HOSTS \
    NODE_NETNS NODE_COOKIE 2>/dev/null | sed 's/^declare -[^ ]* /declare -g /' || true)
  # shellcheck disable=SC1091
  [ ! -e "$folder/settings" ] || . "$folder/settings"
  eval "$given"
  : "${RABBITMQ_ROOT=}" "${NODE_PLUGINS=rabbitmq_management}" "${NODE_CONF=}" "${NODE_HOSTS=}"
  : "${NODE_ADDRESS=127.0.0.1}" "${NODE_HOST=localhost}" "${NODE_NETNS=}" "${NODE_PORT=}"
  : "${NODE_COOKIE=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')}"
  node=$name@$NODE_HOST
  [ -z "$RABBITMQ_ROOT" ] || RABBITMQ_ROOT=$(cd "$RABBITMQ_ROOT" && pwd) ||
    fail "RABBITMQ_ROOT is to be a folder made by fetch.sh"
  # Inside a fetched root the folder is mounted under a fixed name.
  inside=$folder
  [ -z "$RABBITMQ_ROOT" ] || inside=/node
}

remember() {
  declare -p RABBITMQ_ROOT NODE_PLUGINS NODE_CONF NODE_ADDRESS NODE_HOST NODE_HOSTS NODE_NETNS \
    NODE_COOKIE NODE_PORT | sed 's/^declare -[^ ]* //' >"$folder/settings"
}

port() {
  echo $((NODE_PORT + $1))
}

is_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Ten free ports in a row, below the range the kernel hands out to clients.
free_ports() {
  local first offset try
  for try in $(seq 50); do
    first=$((21000 + 10 * (RANDOM % 1100)))
    for offset in 0 1 2 3 4 5 6 7 8 9; do
      ! is_taken $((first + offset)) || continue 2
    done
    echo "$first"
    return
  done
  fail "found no ten free ports in $try tries; name one: node.sh start $name PORT"
}

write_configuration() {
  mkdir -p "$folder/data" "$folder/log"
  cat >"$folder/rabbitmq.conf" <<CONF
listeners.tcp.1 = $NODE_ADDRESS:$(port 0)
loopback_users = none
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
log.console = true
log.file = false
$(management_configuration)
$NODE_CONF
CONF
  cp "$here/advanced.config" "$folder/advanced.config"
  echo "[$NODE_PLUGINS]." >"$folder/enabled_plugins"
  # The cookie is readable by its owner alone, or Erlang refuses it.
  (umask 077 && rm -f "$folder/.erlang.cookie" && printf %s "$NODE_COOKIE" >"$folder/.erlang.cookie")
}

# Refused as an unknown key where the plug-in is off.
management_configuration() {
  [[ $NODE_PLUGINS != *rabbitmq_management* ]] ||
    printf 'management.tcp.ip = %s\nmanagement.tcp.port = %s\n' "$NODE_ADDRESS" "$(port 3)"
}

# Commands that change a node follow one another, also those of several programs.
lock() {
  exec 9>"$CELERIAC_WORK/.$name.lock"
  flock 9
  recall
}

unlock() {
  exec 9>&-
}

# --- running RabbitMQ's programs ----------------------------------------------------------------

environment() {
  cat <<ENV
HOME=$inside
PATH=/usr/lib/rabbitmq/bin:/usr/bin:/bin:/usr/sbin:/sbin
LANG=C.UTF-8
LC_ALL=C.UTF-8
ERL_EPMD_PORT=$(port 2)
ERL_EPMD_ADDRESS=$NODE_ADDRESS
ERL_CRASH_DUMP=$inside/log/erl_crash.dump
RABBITMQ_NODENAME=$node
RABBITMQ_DIST_PORT=$(port 1)
RABBITMQ_CTL_DIST_PORT_MIN=$(port 4)
RABBITMQ_CTL_DIST_PORT_MAX=$(port 9)
RABBITMQ_CONFIG_FILE=$inside/rabbitmq
RABBITMQ_ADVANCED_CONFIG_FILE=$inside/advanced
RABBITMQ_ENABLED_PLUGINS_FILE=$inside/enabled_plugins
RABBITMQ_MNESIA_BASE=$inside/data
RABBITMQ_LOG_BASE=$inside/log
RABBITMQ_CONF_ENV_FILE=/dev/null
RUNNING_UNDER_SYSTEMD=true
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {${NODE_ADDRESS//./,}}
ENV
}

# Replaces this process by a program of RabbitMQ, inside what the settings ask for. Mounts are made
# in a mount namespace of our own, so nothing stays mounted on the machine.
become() {
  local -a settings enter=()
  mapfile -t settings < <(environment)
  [ -z "$NODE_NETNS" ] || enter=(ip netns exec "$NODE_NETNS")
  if [ -z "$RABBITMQ_ROOT$NODE_HOSTS" ]; then
    exec "${enter[@]}" env -i "${settings[@]}" "$@"
  fi
  # shellcheck disable=SC2016
  exec "${enter[@]}" unshare --mount bash -c '
    root=$1 folder=$2 hosts=$3; shift 3
    [ -z "$hosts" ] || mount --bind "$hosts" "$root/etc/hosts"
    [ -n "$root" ] || exec "$@"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mkdir -p "$root/node"; mount --bind "$folder" "$root/node"
    exec chroot "$root" "$@"' \
    _ "$RABBITMQ_ROOT" "$folder" "$NODE_HOSTS" env -i "${settings[@]}" "$@"
}

vm_pid() {
  cut -d' ' -f1 "$folder/pid" 2>/dev/null || true
}

# "PID BIRTH" of a live process: numbers are given out again, pairs are not. The name before the last
# parenthesis may hold spaces. A zombie is dead when its last thread is: a killed VM keeps its ports
# until then.
identity() {
  local stat threads
  stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
  threads=$(ls "/proc/$1/task" 2>/dev/null | wc -l)
  # shellcheck disable=SC2086
  set -- "$1" $stat
  if [ "${2:-Z}" != Z ] || [ "$threads" -gt 1 ]; then
    echo "$1 ${21}"
  fi
}

is_running() {
  [ -s "$folder/pid" ] && [ "$(identity "$(vm_pid)")" = "$(cat "$folder/pid")" ]
}

await_end() {
  local tenths=$1
  while is_running && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  ! is_running
}

# Our epmd refuses to end while a node is registered with it, so this cannot hurt a running one. It
# learns of a node's death a moment after we do.
end_epmd() {
  local try
  [ -n "$NODE_PORT" ] || return 0
  for try in $(seq 20); do
    (become epmd -port "$(port 2)" -kill 2>&1) | grep -q 'not allowed' || return 0
    sleep 0.1
  done
}

await_start() {
  local deadline=$((SECONDS + ${NODE_PATIENCE:-120}))
  while ! grep -q 'completed with' "$folder/log/console"; do
    is_running || give_up "RabbitMQ ended while it started"
    [ $SECONDS -lt "$deadline" ] || give_up "RabbitMQ did not start in time (NODE_PATIENCE)"
    sleep 0.1
  done
}

give_up() {
  kill_now
  tail -n 25 "$folder/log/console" >&2
  fail "$1; its log is $folder/log/console"
}

# --- the commands -------------------------------------------------------------------------------

start() {
  if is_running; then
    [ -z "${1:-}" ] || [ "$1" = "$NODE_PORT" ] || fail "$name already runs on port $NODE_PORT"
    return
  fi
  if [ -z "$RABBITMQ_ROOT" ] && [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    fail "RabbitMQ is not installed; run $here/install.sh"
  fi
  NODE_PORT=${1:-${NODE_PORT:-$(free_ports)}}
  if is_taken "$(port 0)" && [ -z "$NODE_NETNS" ]; then
    fail "port $NODE_PORT is in use; choose another: node.sh start $name PORT"
  fi
  write_configuration
  remember
  : >"$folder/log/console"
  # This process becomes the VM, so that its number, written down below, stays true.
  setsid "$here/node.sh" become "$name" >>"$folder/log/console" 2>&1 </dev/null 9>&- &
  identity $! >"$folder/pid"
  await_start
}

stop() {
  if is_running; then
    kill -TERM "$(vm_pid)"
    await_end 900 || fail "$name does not stop; see $folder/log/console, or: node.sh kill $name"
  fi
  end_epmd
}

kill_now() {
  if is_running; then
    kill -KILL "$(vm_pid)"
    await_end 100 || fail "process $(vm_pid) survives kill -9"
  fi
  end_epmd
}

print_environment() {
  [ -n "$NODE_PORT" ] || fail "$name was never started; run: node.sh start $name"
  echo "AMQP_URL=amqp://guest:guest@$NODE_ADDRESS:$(port 0)/%2f"
  [[ $NODE_PLUGINS != *rabbitmq_management* ]] ||
    echo "RABBITMQ_MANAGEMENT_URL=http://guest:guest@$NODE_ADDRESS:$(port 3)"
}

status() {
  if is_running; then
    echo running
  else
    echo stopped
    exit 3
  fi
}

restart() {
  [ -n "$NODE_PORT" ] || fail "$name was never started, or is wiped; run: node.sh start $name"
  stop
  start
}

wipe() {
  kill_now
  rm -rf "$folder" "$CELERIAC_WORK/.$name.lock"
}

hold() {
  if (start "$@"); then
    # From here on nothing may take us away before the node: no signal that is meant for the program
    # that asked, and not its death before it read what we print.
    trap '' INT HUP TERM PIPE
    recall
    unlock
    print_environment 2>/dev/null || true
    cat >/dev/null
    lock
  fi
  wipe
}

ctl() {
  [ -n "$NODE_PORT" ] || fail "$name was never started; run: node.sh start $name"
  local -a program=(rabbitmqctl)
  if [[ ${1:-} == rabbitmq-* ]]; then
    program=("$1")
    shift
  fi
  local code=0
  (become "${program[@]}" -n "$node" "$@") || code=$?
  # Asking a stopped node leaves an epmd behind.
  is_running || end_epmd
  exit "$code"
}

case ${1:-help} in
  -h | --help | help)
    usage
    exit 0
    ;;
esac
command=$1
name=${2:-}
[ -n "$name" ] || { usage >&2 && exit 64; }
[[ $name =~ ^[a-zA-Z0-9_-]+$ ]] || fail "a name is made of letters, digits, _ and -, not '$name'"
shift 2
mkdir -p "${CELERIAC_WORK:-./.work}"
CELERIAC_WORK=$(cd "${CELERIAC_WORK:-./.work}" && pwd)
export CELERIAC_WORK
folder=$CELERIAC_WORK/$name
recall

case $command in
  start) lock && start "$@" ;;
  stop) lock && stop ;;
  kill) lock && kill_now ;;
  restart) lock && restart ;;
  status) status ;;
  env) print_environment ;;
  ctl) ctl "$@" ;;
  pid) is_running && vm_pid ;;
  log) echo "$folder/log/console" ;;
  wipe) lock && wipe ;;
  hold) lock && hold "$@" ;;
  become) become rabbitmq-server ;; # used by `start`, in the process that is to be the node
  *) usage >&2 && exit 64 ;;
esac
