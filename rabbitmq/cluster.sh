#!/usr/bin/env bash
#
# cluster.sh COMMAND [NODE] [ARGUMENTS]: three RabbitMQ nodes on this machine, and the network
# between them, which can be broken. Nodes are called 1, 2 and 3. Needs root and `ip`.
#
#   up                 starts the three and makes them one cluster
#   down               kills them and removes everything, the network too
#   env                prints AMQP_URL_1=... to AMQP_URL_3=..., reachable from this machine
#   cut A B            no packet passes between A and B any more; clients still reach both
#   isolate A          no packet passes between A and the two others
#   heal               undoes every cut
#   start|stop|kill|restart|status|pid|log A    as node.sh does, for one node
#   ctl A ARGS...      rabbitmqctl on one node
#
# Each node has a network namespace of its own, so a cut is a real partition. RABBITMQ_ROOT (see
# fetch.sh) chooses another version than the installed one. CLUSTER_NET, the first three parts of
# the addresses (10.77.0), and CLUSTER_NAME (cel) keep clusters apart; nodes lie in
# ${CELERIAC_WORK:-./.work}. NODE_CONF adds lines to every node's rabbitmq.conf.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
net=${CLUSTER_NET:-10.77.0}
cluster=${CLUSTER_NAME:-cel}
bridge=br-$cluster
port=5672

usage() {
  sed -n '3,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# Names double as namespaces, host names and node names.
member() {
  [[ ${1:-} =~ ^[123]$ ]] || { echo "cluster.sh: a node is 1, 2 or 3, not '${1:-}'" >&2 && exit 64; }
  echo "$cluster$1"
}

make_network() {
  ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
  ip addr replace "$net.254/24" dev "$bridge"
  ip link set "$bridge" up
  for i in 1 2 3; do
    local space
    space=$(member $i)
    [ -e "/run/netns/$space" ] && continue
    ip netns add "$space"
    ip link add "veth-$space" type veth peer name eth0 netns "$space"
    ip link set "veth-$space" master "$bridge" up
    ip -n "$space" link set lo up
    ip -n "$space" addr add "$net.$i/24" dev eth0
    ip -n "$space" link set eth0 up
    ip -n "$space" route add default via "$net.254"
  done
}

remove_network() {
  for i in 1 2 3; do
    ip netns del "$(member $i)" 2>/dev/null || true
  done
  ip link del "$bridge" 2>/dev/null || true
}

start_member() {
  local name peers
  name=$(member "$1")
  peers=$(for i in 1 2 3; do
    echo "cluster_formation.classic_config.nodes.$i = $(member $i)@$(member $i)"
  done)
  NODE_ADDRESS=$net.$1 NODE_HOST=$name NODE_NETNS=$name NODE_HOSTS=$hosts NODE_COOKIE=$cluster \
    NODE_CONF="cluster_formation.peer_discovery_backend = classic_config
$peers
${NODE_CONF:-}" "$here/node.sh" start "$name" $port
}

up() {
  local i
  make_network
  {
    # A node looks up the machine's own name for each connection, and nobody answers in there.
    echo "127.0.0.1 localhost $(hostname)"
    for i in 1 2 3; do echo "$net.$i $(member $i)"; done
  } >"$hosts"
  local -a starting=()
  for i in 1 2 3; do
    start_member $i &
    starting+=($!)
  done
  for i in "${starting[@]}"; do wait "$i"; done
}

down() {
  for i in 1 2 3; do
    "$here/node.sh" wipe "$(member $i)"
  done
  remove_network
  rm -f "$hosts"
}

# Both ends forget the way to each other; what else they reach, they still reach.
cut() {
  ip -n "$(member "$1")" route replace blackhole "$net.$2/32"
  ip -n "$(member "$2")" route replace blackhole "$net.$1/32"
}

isolate() {
  local other
  for other in 1 2 3; do
    [ "$other" = "$1" ] || cut "$1" "$other"
  done
}

heal() {
  local a b
  for a in 1 2 3; do
    for b in 1 2 3; do
      ip -n "$(member $a)" route del blackhole "$net.$b/32" 2>/dev/null || true
    done
  done
}

print_environment() {
  for i in 1 2 3; do
    echo "AMQP_URL_$i=amqp://guest:guest@$net.$i:$port/%2f"
  done
}

command=${1:-help}
[ $# = 0 ] || shift
mkdir -p "${CELERIAC_WORK:-./.work}"
CELERIAC_WORK=$(cd "${CELERIAC_WORK:-./.work}" && pwd)
export CELERIAC_WORK
hosts=$CELERIAC_WORK/$cluster.hosts

case $command in
  up) up ;;
  down) down ;;
  env) print_environment ;;
  cut) member "${1:-}" >/dev/null && member "${2:-}" >/dev/null && cut "$1" "$2" ;;
  isolate) member "${1:-}" >/dev/null && isolate "$1" ;;
  heal) heal ;;
  start) member "${1:-}" >/dev/null && start_member "$1" ;;
  stop | kill | restart | status | pid | log | ctl)
    name=$(member "${1:-}")
    shift
    "$here/node.sh" "$command" "$name" "$@"
    ;;
  help | -h | --help) usage ;;
  *) usage >&2 && exit 64 ;;
esac
