#!/usr/bin/env bash
# The table of docs/performance.md: every scenario against Debian's RabbitMQ (see
# scripts/rabbitmq-peer.sh) on this machine, in pairs, with the ratio that is aimed at.
#
#   scripts/figures.sh [FOLDER]      JSON of each comparison into FOLDER (default: figures), and a
#                                    table on standard output
#
#   PAIRS=5 SECONDS_EACH=3           how often, and how long each run measures
#   ONLY=topic                       only the scenarios whose name contains this
#   SHUNT=target/release/shunt       the binary
#   PORT=5681                        the first of the ports that are used
#
# Both brokers run while the other is measured; an idle one costs next to nothing. Run it on a
# quiet machine: about 20 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-figures}
pairs=${PAIRS:-5}
seconds=${SECONDS_EACH:-3}
only=${ONLY:-}
shunt=${SHUNT:-${CARGO_TARGET_DIR:-target}/release/shunt}
port=${PORT:-5681}
peer_port=$((port + 2))
mkdir -p "$out"

folder=$(mktemp -d)
peer() {
    SHUNT_PEER_AMQP_PORT=$peer_port SHUNT_PEER_PLUGINS=rabbitmq_consistent_hash_exchange \
        scripts/rabbitmq-peer.sh "$@"
}
stop() {
    kill "$broker" 2>/dev/null || true
    peer stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
env -i "$shunt" --data-dir "$folder/data" --amqp-listen "127.0.0.1:$port" --http-listen "127.0.0.1:$((port + 10000))" \
    --log-level warn >"$folder/log" &
broker=$!
trap stop EXIT
until grep -q 'is ready' "$folder/log"; do
    kill -0 "$broker" || exit 1
    sleep 0.1
done
peer start >/dev/null

a=amqp://127.0.0.1:$port
b=amqp://127.0.0.1:$peer_port

# name, target, measure, options of both: one line of the table.
row() {
    local name=$1 target=$2 measure=$3
    shift 3
    compare "$name" "$target" "$measure" "$a" "$b" "$@"
}

compare() {
    local name=$1 target=$2 measure=$3 left=$4 right=$5
    shift 5
    [[ $name == *"$only"* ]] || return 0
    local file=$out/${name//[^a-zA-Z0-9]/-}.json
    if ! "$shunt" perf compare --pairs "$pairs" --output json "$left" "$right" \
        -z "$seconds" -i 0 "$@" >"$file" 2>"$folder/said"; then
        echo "$name: $(tail -n 1 "$folder/said")" >&2
        return 0
    fi
    python3 scripts/plots.py row "$name" "$target" "$measure" "$file"
}

printf '| scenario | Shunt | RabbitMQ | ratio (lowest to highest) | at least | broker, µs per message |\n|---|---|---|---|---|---|\n'
rate=received_per_s
row 'direct, 16 B' 30 $rate -a -s 16
row 'direct, 1 KiB' 11 $rate -a -s 1024
row 'direct, 64 KiB' 1.7 $rate -a -s 65536
row 'manual acks, 1 KiB' 11 $rate -s 1024
row '4 publishers, 4 queues, 4 consumers' 28 $rate -a -x 4 -y 4 --queues 4
row 'persistent, 1 KiB, 100 unconfirmed' 3 $rate -a -s 1024 -f persistent -c 100
row 'persistent, 1 KiB, 1000 unconfirmed' 5.5 $rate -a -s 1024 -f persistent -c 1000
row 'topic, 1 binding' 28 $rate -a -t topic
row 'topic, 100 bindings' 60 $rate -a -t topic --bindings 100
row 'topic, 1000 bindings' 70 $rate -a -t topic --bindings 1000
row 'topic, 10000 bindings' 90 $rate -a -t topic --bindings 10000
row 'headers, 100 bindings' 70 $rate -a -t headers --bindings 100
row 'consistent hash, 10 queues' 28 $rate -a -t x-consistent-hash --queues 10 -K
row 'fan-out to 10' 60 $rate -a -t fanout --queues 10
row 'fan-out to 100' 40 $rate -a -t fanout --queues 100
row 'delivery at 2000/s, 99 % in µs' '<0.5' delivery_p99_us -a -r 2000
row 'confirm at 2000/s, persistent, 99 % in µs' '<1' confirm_p99_us -a -r 2000 -f persistent -c 1000
row 'processor time per message, direct 16 B' '<0.031' broker_us_per_message -a -s 16

# One broker with itself.
compare 'topic, 10000 bindings beside 1' 0.8 $rate "$a --bindings 10000" "$a --bindings 1" -a -t topic
curl -fsS -u guest:guest -X PUT --data-binary @examples/routes/by-key/by-key.wasm \
    "http://127.0.0.1:$((port + 10000))/api/routes/%2F/by-key" >/dev/null
compare 'route by-key beside topic' 0.8 $rate "$a -t x-wasm --exchange-args x-route=by-key" "$a -t topic" -a -k orders.new

# Points of the plots: plot.CHART.X.json.
point() {
    local chart=$1 x=$2 left=$3 right=$4
    shift 4
    [[ plot == *"$only"* ]] || return 0
    "$shunt" perf compare --pairs 3 --output json "$left" "$right" -z "$seconds" -i 0 -a "$@" \
        >"$out/plot.$chart.$x.json" 2>"$folder/said" || echo "plot $chart $x: $(tail -n 1 "$folder/said")" >&2
}
for size in 16 256 1024 4096 16384 65536; do point size $size "$a" "$b" -s $size; done
for rate in 1000 2000 5000 10000 20000 50000; do point rate $rate "$a" "$b" -r $rate; done
for count in 1 10 100 1000 10000; do point bindings $count "$a" "$b" -t topic --bindings $count; done
for count in 1 4 16 64; do
    point wasm $count "$a -t x-wasm --exchange-args x-route=by-key" "$a -t topic" -k orders.new --bindings $count
done
python3 scripts/plots.py svg "$out" "$out"
