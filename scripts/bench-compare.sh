#!/usr/bin/env bash
# One scenario against two brokers, in turn A B A B ..., and their medians: what changes on the
# machine meanwhile then meets both alike.
#
#   scripts/bench-compare.sh [--pairs N] A B [-- SCENARIO...]
#
# A and B are URIs, each with more options of shunt-bench behind it if need be (so one broker
# can also be compared with itself, say a route with a topic exchange); SCENARIO is what both
# get. Example, Shunt against scripts/rabbitmq-peer.sh:
#
#   scripts/bench-compare.sh --pairs 5 \
#       "amqp://127.0.0.1:5672/ --pid $(pgrep -x shunt)" \
#       "amqp://127.0.0.1:5673/ --pid $(scripts/rabbitmq-peer.sh pid)" \
#       -- --exchange-type topic --bindings 100 --seconds 4
#
# SHUNT_BENCH names the program; by default it is built (release) first. A run that loses a
# message ends the comparison.
set -euo pipefail

pairs=5
if [ "${1:-}" = --pairs ]; then
    pairs=$2
    shift 2
fi
usage="usage: ${0##*/} [--pairs N] 'URI [OPTIONS]' 'URI [OPTIONS]' [-- SCENARIO...]"
read -ra side_a <<<"${1:?$usage}"
read -ra side_b <<<"${2:?$usage}"
shift 2
if [ "${1:-}" = -- ]; then shift; fi

if [ -z "${SHUNT_BENCH:-}" ]; then
    root=$(cd "$(dirname "$0")/.." && pwd)
    manifest=$root/Cargo.toml
    cargo build --quiet --release --manifest-path "$manifest" -p shunt-tests --bin shunt-bench
    SHUNT_BENCH=${CARGO_TARGET_DIR:-$root/target}/release/shunt-bench
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT

run() {
    local name=$1
    shift
    local output
    output=$("$SHUNT_BENCH" --uri "$@") || { echo "$output"; exit 1; }
    echo "$name $(tail -n 1 <<<"$output")"
    echo "$name $(head -n 1 <<<"$output")" >>"$results"
}

for _ in $(seq "$pairs"); do
    run A "${side_a[@]}" "$@"
    run B "${side_b[@]}" "$@"
done

python3 - "$results" <<'PYTHON'
import json
import statistics
import sys

runs = {'A': [], 'B': []}
for line in open(sys.argv[1], encoding='utf-8'):
    side, result = line.split(' ', 1)
    runs[side].append(json.loads(result))


def compare(title, key):
    values = {side: [run[key] for run in results] for side, results in runs.items()}
    if None in values['A'] + values['B']:
        return
    median = {side: statistics.median(found) for side, found in values.items()}
    spread = {side: f'{min(found):.6g} to {max(found):.6g}' for side, found in values.items()}
    ratio = f'{median["A"] / median["B"]:.3f}' if median['B'] else 'none'
    print(f'{title}: A {median["A"]:.6g} ({spread["A"]}), B {median["B"]:.6g} ({spread["B"]}), '
          f'A/B {ratio}')


print(f'medians of {len(runs["A"])} runs each (lowest to highest)')
compare('messages/s at the consumer ', 'consume_per_s')
compare('messages/s at the publisher', 'publish_per_s')
compare('broker, us/message         ', 'broker_us_per_message')
compare('bench, us/message          ', 'bench_us_per_message')
PYTHON
