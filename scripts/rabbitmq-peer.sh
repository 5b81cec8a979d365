#!/usr/bin/env bash
# A RabbitMQ of our own on loopback, to compare Shunt with: Debian's package (apt-get install
# rabbitmq-server), started by hand on ports that disturb nobody, its data in a temporary folder
# that `stop` removes. Nothing of the system's own RabbitMQ is read or changed.
#
#   scripts/rabbitmq-peer.sh start     start, wait until it takes connections, print where it is
#   scripts/rabbitmq-peer.sh stop      stop it and remove its folder
#   scripts/rabbitmq-peer.sh halt      stop it and keep its folder for the next start
#   scripts/rabbitmq-peer.sh kill      the same by SIGKILL, as a crash would
#   scripts/rabbitmq-peer.sh pid       the process id of the broker (`shunt perf` finds it by itself)
#   scripts/rabbitmq-peer.sh ctl ...   rabbitmqctl against it
#
# Settings, by environment:
#   SHUNT_PEER_AMQP_PORT   default 5673
#   SHUNT_PEER_HTTP_PORT   default 15673 (the management plugin)
#   SHUNT_PEER_DIR         default: one folder a port under TMPDIR
#   SHUNT_PEER_PLUGINS     default "rabbitmq_management rabbitmq_consistent_hash_exchange"; leave
#                          out rabbitmq_management for benchmarks: its statistics cost time
#   SHUNT_PEER_BIN         the folder of the unwrapped scripts, default that of Debian's package
set -euo pipefail

amqp_port=${SHUNT_PEER_AMQP_PORT:-5673}
http_port=${SHUNT_PEER_HTTP_PORT:-15673}
dir=${SHUNT_PEER_DIR:-${TMPDIR:-/tmp}/shunt-rabbitmq-peer-$amqp_port}
plugins=${SHUNT_PEER_PLUGINS-rabbitmq_management rabbitmq_consistent_hash_exchange}
bin=${SHUNT_PEER_BIN:-/usr/lib/rabbitmq/bin}
start_timeout_s=60
stop_timeout_s=30

# Everything that RabbitMQ would otherwise take from /etc, /var or a shared epmd. The Erlang
# ports follow the AMQP port, so that two peers on two ports are strangers to each other.
export HOME=$dir/home
export RABBITMQ_CONF_ENV_FILE=$dir/rabbitmq-env.conf
export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf
export RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config
export RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
export RABBITMQ_NODENAME=shunt-peer-$amqp_port@localhost
export RABBITMQ_MNESIA_BASE=$dir/data
export RABBITMQ_LOG_BASE=$dir/log
export RABBITMQ_PID_FILE=$dir/pid
export RABBITMQ_DIST_PORT=$((amqp_port + 20000))
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
export ERL_EPMD_PORT=$((amqp_port + 21000))
export ERL_EPMD_ADDRESS=127.0.0.1

die() { echo "rabbitmq-peer: $*" >&2; exit 1; }

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

running_pid() {
    local pid
    pid=$(cat "$dir/pid" 2>/dev/null) || return 1
    kill -0 "$pid" 2>/dev/null && echo "$pid"
}

start() {
    [ -x "$bin/rabbitmq-server" ] || die "no $bin/rabbitmq-server: apt-get install rabbitmq-server"
    if running_pid >/dev/null; then die "already running, pid $(running_pid)"; fi
    if listens "$amqp_port"; then die "port $amqp_port is taken"; fi

    mkdir -p "$dir"/{home,data,log}
    : >"$dir/rabbitmq-env.conf"
    echo '[].' >"$dir/advanced.config"
    echo "[${plugins// /,}]." >"$dir/enabled_plugins"
    {
        echo "listeners.tcp.1 = 127.0.0.1:$amqp_port"
        echo "listeners.tcp.2 = ::1:$amqp_port"
        if [[ $plugins == *rabbitmq_management* ]]; then
            echo "management.tcp.ip = 127.0.0.1"
            echo "management.tcp.port = $http_port"
        fi
    } >"$dir/rabbitmq.conf"

    setsid "$bin/rabbitmq-server" </dev/null >"$dir/log/stdout" 2>&1 &

    local deadline=$((SECONDS + start_timeout_s))
    until listens "$amqp_port" && running_pid >/dev/null; do
        [ $SECONDS -lt $deadline ] || die "not ready after $start_timeout_s s, see $dir/log"
        sleep 0.2
    done
    echo "RabbitMQ: pid $(running_pid), amqp://guest:guest@127.0.0.1:$amqp_port/, log $dir/log"
}

halt() {
    local pid deadline
    if pid=$(running_pid); then
        kill "-$1" "$pid"
        deadline=$((SECONDS + stop_timeout_s))
        while kill -0 "$pid" 2>/dev/null; do
            if [ $SECONDS -ge $deadline ]; then kill -KILL "$pid"; fi
            sleep 0.2
        done
    fi
    epmd -port "$ERL_EPMD_PORT" -kill >/dev/null 2>&1 || true
}

stop() {
    halt TERM
    rm -rf "$dir"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    halt) halt TERM ;;
    kill) halt KILL ;;
    pid) running_pid || die "not running" ;;
    ctl) shift; exec "$bin/rabbitmqctl" "$@" ;;
    *) die "usage: ${0##*/} start|stop|halt|kill|pid|ctl ..." ;;
esac
