#!/usr/bin/env bash
# Every figure of docs/performance.md: each scenario against Debian's RabbitMQ (see
# scripts/rabbitmq-peer.sh) on this machine, in pairs, with the ratio that is aimed at; what
# declared things cost; the plots.
#
#   scripts/figures.sh [FOLDER]      JSON of each run, figures.md with the tables, and the plots
#                                    into FOLDER (default: figures); the tables on standard output
#
#   PAIRS=3 SECONDS_EACH=2           how often each comparison runs, and how long it measures
#   PLOT_PAIRS=1 PLOT_SECONDS=1      the same for the points of the plots; PLOT_PAIRS=0 for none
#   SCALE=1                          in which part of 1 000 000 bindings, 100 000 queues, 10 000 and
#                                    2 000 connections: 10 for a tenth, 0 for none of it
#   ONLY=topic                       only the rows and plots whose name contains this
#   SHUNT=target/release/shunt       the binary
#   PORT=5681                        the first of the ports that are used
#
# With these it takes about 15 minutes, and 4 more with each further pair. Both brokers run while the other is
# measured; an idle one costs next to nothing. Run it on a quiet machine. What could not be measured
# is named on standard error, and everything else goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-figures}
pairs=${PAIRS:-3}
seconds=${SECONDS_EACH:-2}
plot_pairs=${PLOT_PAIRS:-1}
plot_seconds=${PLOT_SECONDS:-1}
scale=${SCALE:-1}
only=${ONLY:-}
shunt=${SHUNT:-${CARGO_TARGET_DIR:-target}/release/shunt}
port=${PORT:-5681}
peer_port=$((port + 2))
mkdir -p "$out"

folder=$(mktemp -d)
broker=
peer() {
    SHUNT_PEER_AMQP_PORT=$peer_port SHUNT_PEER_PLUGINS=rabbitmq_consistent_hash_exchange \
        scripts/rabbitmq-peer.sh "$@"
}
stop_shunt() {
    [ -z "$broker" ] || { kill "$broker" && wait "$broker"; } 2>/dev/null || true
    broker=
}
stop() {
    stop_shunt
    peer stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT

# A node on an empty folder; how long it took to be ready, in ms.
start_shunt() {
    stop_shunt
    # The log too: a line that says "ready" must be this node's.
    rm -rf "$folder/data" "$folder/log"
    : >"$folder/log"
    local begin
    begin=$(date +%s%N)
    env -i "$shunt" --data-dir "$folder/data" --amqp-listen "127.0.0.1:$port" \
        --http-listen "127.0.0.1:$((port + 10000))" --log-level error >>"$folder/log" 2>&1 &
    broker=$!
    until grep -q 'is ready' "$folder/log"; do
        kill -0 "$broker" || { cat "$folder/log" >&2; exit 1; }
        sleep 0.005
    done
    ready_ms=$((($(date +%s%N) - begin) / 1000000))
}

ulimit -n "$(ulimit -Hn)"
start_shunt
peer start >/dev/null
a=amqp://127.0.0.1:$port
b=amqp://127.0.0.1:$peer_port
exec > >(tee "$out/figures.md")

wanted() { [[ $1 == *"$only"* ]]; }

# name, target, measure, options of both: one line of the table.
row() {
    local name=$1 target=$2 measure=$3
    shift 3
    compare "$name" "$target" "$measure" "$a" "$b" "$@"
}

# The same with what the machine gives at the most: the same frames through a bare relay, which
# writes to a file and syncs it where messages are persistent.
relayed() {
    relays=$pairs
    row "$@"
    relays=0
}
relays=0

# The same with the two sides.
compare() {
    local name=$1 target=$2 measure=$3 left=$4 right=$5
    shift 5
    wanted "$name" || return 0
    local file=$out/${name//[^a-zA-Z0-9]/-}.json run relay_files=()
    if "$shunt" perf compare --pairs "$pairs" --output json "$left" "$right" \
        -z "$seconds" --warmup 0.5 -i 0 "$@" >"$file" 2>"$folder/said"; then
        for ((run = 0; run < relays; run++)); do
            relay_files+=("${file%.json}.relay.$run.json")
            "$shunt" perf limit -z "$seconds" --warmup 0.5 -i 0 --output json "$@" \
                >"${relay_files[-1]}" 2>"$folder/said" || said "$name"
        done
        python3 scripts/plots.py row "$name" "$target" "$measure" "$file" "${relay_files[@]}" ||
            said "$name"
    else
        said "$name"
    fi
}

said() { echo "$1: $(tail -n 1 "$folder/said")" >&2; }

printf '%s, %s, %s, %s pairs of %s s; ready on an empty folder in %s ms\n\n' "$(date -u +%F)" \
    "$(sed -n 's/^model name.*: //p;T;q' /proc/cpuinfo) × $(nproc)" "Linux $(uname -r)" \
    "$pairs" "$seconds" "$ready_ms"
printf '| scenario | Shunt | RabbitMQ | ratio (lowest to highest) | aim | bare relay, its ratio | broker, µs per message |\n|---|---|---|---|---|---|---|\n'
rate=received_per_s
relayed 'direct, 16 B' 30 $rate -a -s 16
relayed 'direct, 1 KiB' 11 $rate -a -s 1024
relayed 'direct, 64 KiB' 1.7 $rate -a -s 65536
row 'manual acks, 1 KiB' 11 $rate -s 1024 -q 1000
relayed '4 publishers, 4 queues, 4 consumers' 28 $rate -a -x 4 -y 4 --queues 4
relayed 'persistent, 1 KiB, 100 unconfirmed' 3 $rate -a -s 1024 -f persistent -c 100
row 'persistent, 1 KiB, 100 unconfirmed, manual acks' 3 $rate -s 1024 -q 1000 -f persistent -c 100
relayed 'persistent, 1 KiB, 1000 unconfirmed' 5.5 $rate -a -s 1024 -f persistent -c 1000
row 'topic, 1 binding' 28 $rate -a -t topic
row 'topic, 100 bindings' 60 $rate -a -t topic --bindings 100
row 'topic, 1000 bindings' 70 $rate -a -t topic --bindings 1000
row 'topic, 10000 bindings' 90 $rate -a -t topic --bindings 10000
row 'headers, 100 bindings' 70 $rate -a -t headers --bindings 100
row 'consistent hash, 10 queues' 28 $rate -a -t x-consistent-hash --queues 10 -K
row 'fan-out to 10' 60 $rate -a -t fanout --queues 10
row 'fan-out to 100' 40 $rate -a -t fanout --queues 100
relayed 'delivery at 2000/s, 99 % in µs' '<0.5' delivery_p99_us -a -r 2000
# What needs no ack, RabbitMQ confirms without a sync when it is delivered; the rest it syncs, as Shunt
# does all of it.
relayed 'confirm at 2000/s, persistent, 99 % in µs' '<1' confirm_p99_us -a -r 2000 -f persistent -c 1000
row 'confirm at 2000/s, manual acks' '<1' confirm_p99_us -q 1000 -r 2000 -f persistent -c 1000
row 'confirm at 2000/s, nobody consumes' '<1' confirm_p99_us -y 0 -r 2000 -f persistent -c 1000
row 'processor time per message, direct 16 B, µs' '<0.031' broker_us_per_message -a -s 16
if [ "$scale" != 0 ]; then
    half=$((1000 / scale))
    row "$((2 * half)) busy connections, delivery, 99 % in µs" '<1' delivery_p99_us \
        -a -x $half -y $half --queues $half -r 10
fi

printf '\n| Shunt with itself | the first | the second | ratio (lowest to highest) | aim | | broker, µs per message |\n|---|---|---|---|---|---|---|\n'
compare 'topic, 10000 bindings beside 1' 0.8 $rate "$a --bindings 10000" "$a --bindings 1" -a -t topic
curl -fsS -u guest:guest -X PUT --data-binary @examples/routes/by-key/by-key.wasm \
    "http://127.0.0.1:$((port + 10000))/api/routes/%2F/by-key" >/dev/null
route='-t x-wasm --exchange-args x-route=by-key'
compare 'route by-key beside topic' 0.8 $rate "$a $route" "$a -t topic" -a -k orders.new

# Points of the plots: plot.CHART.X.json.
point() {
    local chart=$1 x=$2 left=$3 right=$4
    shift 4
    [ "$plot_pairs" != 0 ] && wanted "plot $chart" || return 0
    "$shunt" perf compare --pairs "$plot_pairs" --output json "$left" "$right" -z "$plot_seconds" \
        --warmup 0.5 -i 0 -a "$@" >"$out/plot.$chart.$x.json" 2>"$folder/said" || said "plot $chart $x"
}
for x in 16 256 1024 4096 16384 65536; do point size $x "$a" "$b" -s $x; done
for x in 1000 2000 5000 10000 20000 50000; do point rate $x "$a" "$b" -r $x; done
for x in 1 10 100 1000 10000; do point bindings $x "$a" "$b" -t topic --bindings $x; done
for x in 1 4 16 64; do point wasm $x "$a $route" "$a -t topic" -k orders.new --bindings $x; done
python3 scripts/plots.py svg "$out" "$out" >/dev/null

# What is declared and not used, each on fresh nodes; RabbitMQ with a tenth of it.
declared() {
    local name=$1 option=$2 count=$3
    shift 3
    wanted "$name" || return 0
    start_shunt
    peer stop >/dev/null
    peer start >/dev/null
    # Until it has done what a start leaves to be done.
    sleep 2
    local own=$out/scale.$name.json peers=$out/scale.$name.peer.json
    if "$shunt" perf scale -h "$a" --output json "$option" "$count" "$@" >"$own" 2>"$folder/said" &&
        "$shunt" perf scale -h "$b" --output json "$option" $((count / 10)) "$@" >"$peers" 2>"$folder/said"; then
        python3 scripts/plots.py scale "$name" "$own" "$peers"
    else
        said "$name"
    fi
}
if [ "$scale" != 0 ]; then
    printf '\n| declared and not used | how many | bytes each | RabbitMQ, a tenth of them | broker, µs each | RabbitMQ |\n|---|---|---|---|---|---|\n'
    declared 'connections with a channel' --connections $((10000 / scale))
    declared 'empty queues' --queues $((100000 / scale))
    for type in direct topic headers; do
        declared "bindings, $type" --bindings $((1000000 / scale)) -t $type
    done
fi
