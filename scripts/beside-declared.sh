#!/usr/bin/env bash
# Whether what is declared slows those who don't use it: two Shunts of their own, one of them with
# QUEUES queues and BINDINGS bindings on a topic and a direct exchange, and `shunt perf` against an
# exchange that has nothing to do with these, in turn, A B A B. The ratio is that of the full one to
# the empty one. Then the same once more while RATE more of them a second are declared on the full
# one, all the time: what it costs the machine to declare weighs on both, what it costs those who
# publish beside it on the full one alone.
#
#   scripts/beside-declared.sh SHUNT [options of `shunt perf`, default -a -z 2]
#
#   QUEUES, BINDINGS   default 10000 and 100000
#   PAIRS              default 5
#   RATE               durable queues and bindings (1 to 10) a second, default 200; 0 for none
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

rate=${RATE:-200}
[ "$rate" -gt 0 ] || exit 0
# Each is on disk before its declarer goes on, so that it takes some of them to keep the rate.
python3 - "$(http_of full)" "$rate" >"$work/declared" <<'PYTHON' &
import base64
import http.client
import json
import os
import sys
import threading
import time
import urllib.parse

DECLARERS = 8
address = urllib.parse.urlparse(sys.argv[1]).netloc
interval = DECLARERS / int(sys.argv[2])
headers = {'Authorization': 'Basic ' + base64.b64encode(b'guest:guest').decode()}
counts = [0] * DECLARERS
begun = time.time()


def declare(number):
    connection = http.client.HTTPConnection(address)
    queue = ''
    for turn in range(10**9):
        time.sleep(max(0, begun + turn * interval - time.time()))
        name = f'meanwhile-{number}-{turn}'
        if turn % 11 == 0:
            queue = name
            method, path, body = 'PUT', f'/api/queues/%2F/{queue}', {'durable': True}
        else:
            exchange = ['beside-topic', 'beside-direct'][turn % 2]
            method, path = 'POST', f'/api/bindings/%2F/e/{exchange}/q/{queue}'
            body = {'routing_key': f'{name}.*'}
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            print(f'{method} {path}: {answer.status}', file=sys.stderr)
            os._exit(1)
        counts[number] += 1


for number in range(DECLARERS):
    threading.Thread(target=declare, args=(number,), daemon=True).start()
while True:
    time.sleep(1)
    print(sum(counts), time.time() - begun, flush=True)
PYTHON
pids+=($!)
sleep 2
before=$(tail -1 "$work/declared")
"$shunt" perf compare --pairs "${PAIRS:-5}" "$(amqp_of full)" "$(amqp_of empty)" "$@"
after=$(tail -1 "$work/declared")
kill -0 "${pids[-1]}"
python3 -c '
import sys
(n, at), (m, then) = (map(float, line.split()) for line in sys.argv[1:])
print(f"meanwhile {m - n:.0f} were declared, {(m - n) / (then - at):.0f} a second")
' "$before" "$after"
