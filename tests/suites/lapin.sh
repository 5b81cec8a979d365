#!/usr/bin/env bash
# Runs lapin's own tests (Rust) against a running broker.
#
#   tests/suites/lapin.sh CHECKOUT [cargo test arguments]
#
# CHECKOUT is a folder with a checkout of the client's repository; it is copied, not changed.
#   SHUNT_AMQP_HOST, SHUNT_AMQP_PORT   the broker, default 127.0.0.1:5672
#   SHUNT_SUITE_EXPECTED               the list of expected failures, default lapin.expected
#   SHUNT_SUITE_TARGET                 cargo's folder for what it builds, kept between runs
#   SHUNT_SUITE_REPORT                 where to leave the JUnit XML, default nowhere
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=${1:?usage: lapin.sh CHECKOUT [cargo test arguments]}
shift
export AMQP_ADDR="amqp://${SHUNT_AMQP_HOST:-127.0.0.1}:${SHUNT_AMQP_PORT:-5672}/%2f"
export CARGO_TARGET_DIR=${SHUNT_SUITE_TARGET:-${TMPDIR:-/tmp}/shunt-suite-lapin-target}
expected=${SHUNT_SUITE_EXPECTED:-$here/lapin.expected}

grep -qs '^name = "lapin"' "$checkout/Cargo.toml" || {
    echo "no lapin checkout at $checkout" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$checkout/." "$work/lapin"
cd "$work/lapin"
# What the default features cost is TLS, which no test uses.
features=(--no-default-features --features tokio,smol)

cargo test --quiet --no-run --tests --lib "${features[@]}"
status=0
cargo test --no-fail-fast --tests --lib "${features[@]}" "$@" >"$work/log" 2>&1 || status=$?
python3 "$here/cargo_junit.py" <"$work/log" >"$work/junit.xml"
if [ -n "${SHUNT_SUITE_REPORT:-}" ]; then cp "$work/junit.xml" "$SHUNT_SUITE_REPORT"; fi
if ! python3 "$here/compare.py" "$expected" "$work/junit.xml"; then
    tail -n 60 "$work/log"
    exit 1
fi
# A test binary that dies names no case.
[ "$status" = 0 ] || [ "$status" = 101 ] || { cat "$work/log"; exit "$status"; }
