#!/usr/bin/env bash
# Whether what is declared slows those who don't use it: two Shunts of their own, one of them with
# QUEUES queues and BINDINGS bindings on a topic and a direct exchange, and `shunt perf` against an
# exchange that has nothing to do with these, in turn, A B A B. The ratio is that of the full one to
# the empty one.
#
#   scripts/beside-declared.sh SHUNT [options of `shunt perf`, default -a -z 2]
#
#   QUEUES, BINDINGS   default 10000 and 100000
#   PAIRS              default 5
set -euo pipefail

shunt=${1:?usage: beside-declared.sh SHUNT [options of shunt perf]}
shift
[ $# -gt 0 ] || set -- -a -z 2
queues=${QUEUES:-10000}
bindings=${BINDINGS:-100000}
work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap stop EXIT

# Starts a node on free ports; its ready line says which.
start() {
    "$shunt" --data-dir "$work/$1" --amqp-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 \
        --log-level error >"$work/$1.out" &
    pids+=($!)
    until grep -qs 'is ready' "$work/$1.out"; do
        kill -0 "${pids[-1]}" || exit 1
        sleep 0.1
    done
}
amqp_of() { sed -n 's/.*AMQP on \([0-9.:]*\),.*/amqp:\/\/\1/p' "$work/$1.out"; }
http_of() { sed -n 's/.*HTTP on \(http:[^,]*\),.*/\1/p' "$work/$1.out"; }

start empty
start full
python3 - "$queues" "$bindings" >"$work/definitions.json" <<'PYTHON'
import json
import sys

queues, bindings = map(int, sys.argv[1:])
kinds = {'beside-topic': 'topic', 'beside-direct': 'direct'}
json.dump({
    'exchanges': [{'vhost': '/', 'name': name, 'type': kind, 'durable': True}
                  for name, kind in kinds.items()],
    'queues': [{'vhost': '/', 'name': f'beside-{n}', 'durable': True} for n in range(queues)],
    'bindings': [{
        'vhost': '/', 'source': list(kinds)[n % 2], 'destination_type': 'queue',
        'destination': f'beside-{n % queues}', 'routing_key': f'beside.{n}.*', 'arguments': {},
    } for n in range(bindings)],
}, sys.stdout)
PYTHON
begun=$(date +%s.%N)
SHUNT_URL=$(http_of full) "$shunt" definitions import "$work/definitions.json"
echo "declared in $(python3 -c "import time; print(f'{time.time() - $begun:.1f}')") s"
"$shunt" perf compare --pairs "${PAIRS:-5}" "$(amqp_of full)" "$(amqp_of empty)" "$@"
