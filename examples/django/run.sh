#!/usr/bin/env bash
#
# run.sh: the example from nothing: a broker, a Redis, a worker, and Django at http://127.0.0.1:8000,
# until you press control-C. Uses AMQP_URL and REDIS_URL if they are set, else starts its own.
#
# Needs `make celery build` once, and redis-server. Try it:
#
#   curl -d '{"name": "ada", "email": "ada@example.org"}' http://127.0.0.1:8000/users
#   curl --data-binary @some.mp4 'http://127.0.0.1:8000/users/1/videos?title=holiday'
#   curl http://127.0.0.1:8000/videos/1

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
root=$(cd ../.. && pwd)
python=${CELERIAC_VENV:-$root/.work/venv}/bin/python
celeriac=${CELERIAC:-$root/target/release/celeriac}
export CLIPS_DATA=${CLIPS_DATA:-$root/.work/clips}
mkdir -p "$CLIPS_DATA"

children=()
node=
stop() {
  trap - EXIT
  [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null || true
  wait
  [ -z "$node" ] || "$root/rabbitmq/node.sh" stop "$node"
}
trap stop EXIT

if [ -z "${AMQP_URL:-}" ]; then
  node=clips
  "$root/rabbitmq/node.sh" start "$node" 5683
  export AMQP_URL=amqp://guest:guest@127.0.0.1:5683/%2f
fi
if [ -z "${REDIS_URL:-}" ]; then
  redis-server --port 6383 --save '' --dir "$CLIPS_DATA" >"$CLIPS_DATA/redis.log" &
  children+=($!)
  export REDIS_URL=redis://127.0.0.1:6383/0
fi
export CELERIAC_BROKER_URL=$AMQP_URL CELERIAC__RESULTS__URL=$REDIS_URL

"$python" manage.py migrate --verbosity 0
"$celeriac" worker -c celeriac.toml &
children+=($!)
"$python" manage.py runserver --noreload 127.0.0.1:8000
