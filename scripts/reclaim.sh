#!/usr/bin/env bash
# What the log of messages costs on disk while a busy queue is consumed: bytes that the disk wrote for each
# byte published, the folder's largest size over the bytes that are still wanted, and how long a confirm
# takes at most. Three times: nothing else in the log; one old message that nobody reads; and many of
# them, which are copied again and again as the log moves on: a tenth of what is consumed meanwhile.
#
#   scripts/reclaim.sh
#
#   MESSAGES=3000000 SIZE=1024       how many are published and consumed, of how many bytes
#   RATE=                            messages a second; without it as many as the broker takes
#   SHUNT=target/release/shunt       the binary
#   PORT=5691                        the first of two ports
#   DATA_DIR=                        where the data folder is made (default: TMPDIR)
set -euo pipefail
cd "$(dirname "$0")/.."

messages=${MESSAGES:-3000000}
size=${SIZE:-1024}
shunt=${SHUNT:-${CARGO_TARGET_DIR:-target}/release/shunt}
port=${PORT:-5691}
api=http://guest:guest@127.0.0.1:$((port + 10000))/api
rate=(${RATE:+-r "$RATE"})
folder=
broker=

stop() {
    [ -z "$broker" ] || { kill "$broker" 2>/dev/null && wait "$broker"; } || true
    [ -z "$folder" ] || rm -rf "$folder"
    broker= folder=
}
trap stop EXIT

perf() {
    "$shunt" perf --uri "amqp://127.0.0.1:$port" -f persistent -s "$size" -i 0 "$@"
}

# Bytes that went to the disk with the folder; what else is written there meanwhile counts too. Not the
# process's own count: it takes a large page for written in whole where a record of it was.
written() {
    local fields
    sync
    read -ra fields <"/sys/dev/block/$(stat -c '%Hd:%Ld' "$folder")/stat"
    echo $((fields[6] * 512))
}
# A file may go while it is looked at.
used() { { du -s --block-size=1 "$folder/data/messages" 2>/dev/null || true; } | cut -f1; }
queue() { curl -fsS -X PUT "$api/queues/%2f/$1" -d '{"durable":true}' -H 'content-type: application/json' >/dev/null; }

# name, messages that stay
scenario() {
    local name=$1 old=$2
    folder=$(mktemp -d ${DATA_DIR:+-p "$DATA_DIR"})
    "$shunt" --data-dir "$folder/data" --amqp-listen "127.0.0.1:$port" \
        --http-listen "127.0.0.1:$((port + 10000))" --log-level warn >"$folder/log" &
    broker=$!
    until grep -qs 'is ready' "$folder/log"; do
        kill -0 "$broker"
        sleep 0.1
    done
    queue old
    queue busy
    if [ "$old" -gt 0 ]; then
        perf -y 0 -u old -c 1000 -C "$old" >/dev/null
    fi
    local before most=0 now
    before=$(written)
    perf -u busy -c 1000 -C "$messages" -A 100 "${rate[@]}" --output json >"$folder/json" &
    local load=$!
    while kill -0 "$load" 2>/dev/null; do
        now=$(used)
        [ "$now" -le "$most" ] || most=$now
        sleep 0.2
    done
    wait "$load"
    local after
    after=$(written)
    python3 - "$folder/json" "$name" "$messages" "$size" "$old" "$((after - before))" "$most" <<'P'
import json, sys
report = json.load(open(sys.argv[1]))
name = sys.argv[2]
messages, size, old, written, most = map(int, sys.argv[3:8])
confirm = report["confirm_latency"]
published, live = messages * size, old * size
print(f"{name:24} written {written / published:5.2f} x   "
      f"at most {most / 2**20:7.0f} MiB on disk for {live / 2**20:5.0f} MiB wanted   "
      f"{report['published_per_s']:8.0f}/s   confirm 50 % {confirm['p50_us'] / 1000:.1f} ms, "
      f"99.9 % {confirm['p999_us'] / 1000:.1f} ms, most {confirm['max_us'] / 1000:.1f} ms")
P
    stop
}

scenario 'nothing old' 0
scenario 'one old message' 1
scenario 'many old messages' $((messages / 10))
