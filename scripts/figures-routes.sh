#!/usr/bin/env bash
# The figures of routes in docs/performance.md: exchanges of routes beside a topic exchange, an
# exchange beside a hostile route, and the replay of a million messages.
#
#   scripts/figures-routes.sh
#
#   PAIRS=7 SECONDS_EACH=2           how often, and how long each run measures
#   SHUNT=target/release/shunt       the binary
#   PORT=5691                        the port of AMQP; HTTP's is 10000 above it
#
# On a busy machine the processor time of the broker says more than the rates do.
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=${PAIRS:-7}
seconds=${SECONDS_EACH:-2}
shunt=${SHUNT:-${CARGO_TARGET_DIR:-target}/release/shunt}
port=${PORT:-5691}
a=amqp://127.0.0.1:$port
http=http://127.0.0.1:$((port + 10000))

folder=$(mktemp -d)
hostile=
stop() {
    [ -z "$hostile" ] || kill "$hostile" 2>/dev/null || true
    kill "$broker" 2>/dev/null || true
    rm -rf "$folder"
}
env -i "$shunt" --data-dir "$folder/data" --amqp-listen "127.0.0.1:$port" --http-listen "127.0.0.1:$((port + 10000))" \
    --log-level error >"$folder/log" 2>&1 &
broker=$!
trap stop EXIT
until curl -fsS "$http/health" >/dev/null 2>&1; do
    kill -0 "$broker" || exit 1
    sleep 0.1
done

deploy() { "$shunt" route deploy "$@" --url "$http" >/dev/null; }
deploy by-key examples/routes/by-key/by-key.wasm
deploy called examples/routes/by-key/by-key.wasm --limit cache_entries=0
deploy component host/wasm/benches/two-fields-component.wat --limit cache_entries=0
deploy component-kept host/wasm/benches/two-fields-component.wat
cat >"$folder/endless.wat" <<'WAT'
(module (memory (export "memory") 1)
  (data (i32.const 1024) "\84\a4name\a1e\a7version\a11\a5reads\90\a5wants\90")
  (func (export "shunt_abi") (result i32) i32.const 1)
  (func (export "shunt_alloc") (param i32) (result i32) i32.const 4096)
  (func (export "shunt_describe") (result i64) i64.const 0x0000040000000020)
  (func (export "shunt_route") (param i32 i32) (result i64) (loop $l (br $l)) unreachable))
WAT
deploy endless "$folder/endless.wat"

# Medians of what `shunt perf` said of runs: messages a second and microseconds.
medians() {
    python3 - "$@" <<'PY'
import json, statistics, sys
def read(name, place):
    value = json.load(open(name))
    for part in place.split("."):
        value = value[part]
    return value
def median(names, place):
    return statistics.median(read(name, place) for name in names)
title, half = sys.argv[1], (len(sys.argv) - 2) // 2
one, other = sys.argv[2:2 + half], sys.argv[2 + half:]
rate, cost = "received_per_s", "broker.us_per_message"
rates = [median(names, rate) for names in (one, other)]
costs = [median(names, cost) for names in (one, other)]
each = sorted(read(x, rate) / read(y, rate) for x, y in zip(one, other))
print(f"| {title} | {rates[0]:.0f} | {rates[1]:.0f} | {statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f}) "
      f"| {costs[0]:.2f} to {costs[1]:.2f} | {costs[1] / costs[0]:.2f} |")
PY
}

run() {
    local file=$1
    shift
    "$shunt" perf -h "$a" -a -i 0 -z "$seconds" -k orders.new --output json "$@" >"$file"
}

printf '| | messages a second | of a topic exchange | ratio (lowest to highest) | broker, µs per message | its ratio |\n|---|---|---|---|---|---|\n'
for route in by-key called component-kept component; do
    ones=() others=()
    for n in $(seq "$pairs"); do
        run "$folder/$route.a.$n" -t x-wasm --exchange-args "x-route=$route"
        run "$folder/$route.b.$n" -t topic
        ones+=("$folder/$route.a.$n") others+=("$folder/$route.b.$n")
    done
    medians "$route" "${ones[@]}" "${others[@]}"
done

# The topic exchange while a route that never ends is asked 100 times a second, and without.
ones=() others=()
for n in $(seq "$pairs"); do
    "$shunt" perf -h "$a" -t x-wasm --exchange-args x-route=endless -x 1 -y 0 -r 100 -c 10 -i 0 -z 600 \
        -u hostile >/dev/null 2>&1 &
    hostile=$!
    sleep 3
    run "$folder/hostile.a.$n" -t topic
    kill "$hostile"
    wait "$hostile" 2>/dev/null || true
    hostile=
    run "$folder/hostile.b.$n" -t topic
    ones+=("$folder/hostile.a.$n") others+=("$folder/hostile.b.$n")
done
medians 'topic beside an endless route' "${ones[@]}" "${others[@]}"

"$shunt" route trace start by-key --bytes 268435456 --url "$http" >/dev/null
"$shunt" perf -h "$a" -a -i 0 -C 1000000 -k orders.new -t x-wasm --exchange-args x-route=by-key >/dev/null
"$shunt" route trace stop by-key --url "$http" >/dev/null
"$shunt" route trace download by-key "$folder/by-key.trace" --url "$http" >/dev/null
printf '\nreplay of the trace, at the desk:\n'
time "$shunt" route replay --trace "$folder/by-key.trace" --module examples/routes/by-key/by-key.wasm \
    --against examples/routes/by-key/by-key.wasm
