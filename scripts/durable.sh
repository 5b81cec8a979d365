#!/usr/bin/env bash
# Persistent messages, beside Debian's RabbitMQ (scripts/rabbitmq-peer.sh): memory while many are
# published that nobody consumes, the time from a start to the answer to a client with them in the
# queue, after a clean stop and after SIGKILL, and a lone confirm beside a bare write and fdatasync of the
# same bytes.
#
#   scripts/durable.sh
#
#   MESSAGES=1000000                 how many, of 1 KiB
#   ROUNDS=3                         restarts of each kind, and runs of the lone confirm
#   SHUNT=target/release/shunt       the binary
#   PORT=5695                        the first of the ports that are used
#   PEER=no                          without RabbitMQ
set -euo pipefail
cd "$(dirname "$0")/.."

messages=${MESSAGES:-1000000}
rounds=${ROUNDS:-3}
shunt=${SHUNT:-${CARGO_TARGET_DIR:-target}/release/shunt}
port=${PORT:-5695}
peer_port=$((port + 1))
folder=$(mktemp -d)
broker=

peer() {
    SHUNT_PEER_AMQP_PORT=$peer_port SHUNT_PEER_PLUGINS= SHUNT_PEER_DIR=$folder/peer \
        scripts/rabbitmq-peer.sh "$@"
}
end() {
    [ -z "$broker" ] || kill -KILL "$broker" 2>/dev/null || true
    [ "${PEER:-yes}" = no ] || peer stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap end EXIT

now_ms() { date +%s%3N; }
# Whether a client that says hello there is answered; a port alone may be open before.
answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'AMQP\x00\x00\x09\x01' >&3 &&
        [ "$(head -c 1 <&3 | od -An -tu1 | tr -d ' ')" = 1 ]) 2>/dev/null
}
perf() { "$shunt" perf -i 0 "$@"; }

start_shunt() {
    "$shunt" --data-dir "$folder/data" --amqp-listen "127.0.0.1:$port" \
        --http-listen "127.0.0.1:$((port + 10000))" --log-level warn >>"$folder/log" 2>&1 &
    broker=$!
    until answers "$port"; do
        kill -0 "$broker"
        sleep 0.005
    done
}
stop_shunt() {
    kill "-$1" "$broker"
    wait "$broker" 2>/dev/null || true
    broker=
}

# what it is called, how it stops, how it starts again; the milliseconds from start to answer
restarts() {
    local name=$1 signal=$2 stop=$3 start=$4 times=() from round
    for ((round = 0; round < rounds; round++)); do
        $stop "$signal"
        from=$(now_ms)
        $start
        times+=($(($(now_ms) - from)))
    done
    echo "$name, start after SIG$signal: ${times[*]} ms"
}

# uri, name: publishes into `deep`, says how fast and with how much memory
fill() {
    perf --uri "$1" -f persistent -x 1 -y 0 -c 1000 -s 1024 -C "$messages" -u deep --output json >"$folder/json"
    python3 - "$2" "$folder/json" <<'P'
import json, sys
report = json.load(open(sys.argv[2]))
print(f"{sys.argv[1]}, {report['published']} messages: {report['published_per_s']:.0f}/s, "
      f"at most {report['broker']['rss_max_bytes'] / 1e6:.0f} MB of memory")
P
}

# uri: the median of a lone confirm, in microseconds
lone() {
    perf --uri "$1" -f persistent -x 1 -y 0 -c 1 -s 1024 -z 3 --output json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["confirm_latency"]["p50_us"])'
}
bare() {
    python3 - "$folder/bare" <<'P'
import os, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
body, took = os.urandom(1100), []
end = time.perf_counter() + 3
while time.perf_counter() < end:
    start = time.perf_counter()
    os.pwrite(file, body, len(took) * len(body))
    os.fdatasync(file)
    took.append(time.perf_counter() - start)
took.sort()
print(round(took[len(took) // 2] * 1e6, 1))
P
}

cat >"$folder/queues.json" <<'J'
{"queues": [{"name": "deep", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {}}]}
J

start_shunt
"$shunt" definitions import "$folder/queues.json" --url "http://127.0.0.1:$((port + 10000))" >/dev/null
fill "amqp://127.0.0.1:$port" Shunt
restarts Shunt TERM stop_shunt start_shunt
restarts Shunt KILL stop_shunt start_shunt
ready=$(curl -fsS -u guest:guest "http://127.0.0.1:$((port + 10000))/api/queues/%2f/deep" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["messages_ready"])')
echo "Shunt, messages that are ready after that: $ready"
if [ "${PEER:-yes}" != no ]; then
    start_peer() {
        peer start >/dev/null
        until answers "$peer_port"; do sleep 0.005; done
    }
    stop_peer() { case $1 in TERM) peer halt ;; *) peer kill ;; esac }
    start_peer
    peer ctl import_definitions "$folder/queues.json" >/dev/null
    fill "amqp://127.0.0.1:$peer_port" RabbitMQ
    restarts RabbitMQ TERM stop_peer start_peer
    restarts RabbitMQ KILL stop_peer start_peer
fi
for ((round = 0; round < rounds; round++)); do
    bare=$(bare)
    lone=$(lone "amqp://127.0.0.1:$port")
    echo "lone confirm: $lone us, a bare write and fdatasync $bare us," \
        "$(python3 -c "print(round($lone / $bare, 2))") times"
done
