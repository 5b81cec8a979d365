#!/usr/bin/env bash
# Runs the tests of amqplib (Node.js) against a running broker.
#
#   tests/suites/amqplib.sh CHECKOUT [node --test arguments]
#
# CHECKOUT is a folder with a checkout of the client's repository; it is copied, not changed.
#   SHUNT_AMQP_HOST, SHUNT_AMQP_PORT   the broker, default 127.0.0.1:5672
#   SHUNT_AMQP_HOST6                   where the one test of IPv6 connects, default ::1
#   SHUNT_SUITE_EXPECTED               the list of expected failures, default amqplib.expected
#   SHUNT_SUITE_MODULES                a folder for the one package that the tests need (claire,
#                                      for generated cases), filled if it is empty
#   SHUNT_SUITE_REPORT                 where to leave the JUnit XML, default nowhere
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=${1:?usage: amqplib.sh CHECKOUT [node --test arguments]}
shift
host=${SHUNT_AMQP_HOST:-127.0.0.1}
port=${SHUNT_AMQP_PORT:-5672}
host6=${SHUNT_AMQP_HOST6:-::1}
expected=${SHUNT_SUITE_EXPECTED:-$here/amqplib.expected}
modules=${SHUNT_SUITE_MODULES:-${TMPDIR:-/tmp}/shunt-suite-amqplib-modules}

[ -f "$checkout/callback_api.js" ] || { echo "no amqplib checkout at $checkout" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Some tests name the broker by URL, some by its default (the library's or that of a connect
# without arguments); ports other than the default one belong to the tests' own servers.
cp -r "$checkout/." "$work/amqplib"
cd "$work/amqplib"
rm -rf node_modules
claire=$(node -p "require('./package.json').devDependencies.claire")
if [ ! -d "$modules/node_modules/claire" ]; then
    npm install --silent --no-save --ignore-scripts --prefix "$modules" "claire@$claire" >/dev/null
fi
ln -s "$modules/node_modules" node_modules
sed -i "s#'amqp://localhost'#'amqp://$host:$port'#g" lib/connect.js test/*.js
sed -i "s#'amqp://localhost?#'amqp://$host:$port?#g;
    s#protocol: 'amqp', hostname: 'localhost'#protocol: 'amqp', hostname: '$host', port: $port#g;
    s#'amqp://\[::1\]'#'amqp://[$host6]:$port'#g" test/connect.test.js
sed -i "s#? 5672 : 5671#? $port : 5671#g" lib/connect.js

# The suite's own limit is one second a test, too little for a machine that does other work. Node
# counts a whole file as a test too.
status=0
node --test --test-timeout=120000 --test-concurrency=1 --test-reporter=junit \
    --test-reporter-destination="$work/junit.xml" "$@" >"$work/log" 2>&1 || status=$?
if [ ! -s "$work/junit.xml" ]; then
    cat "$work/log"
    echo "amqplib.sh: node left no report (exit code $status)" >&2
    exit 2
fi
# What fails as a whole file is named by its path: let that begin at the checkout.
sed -i "s#$work/amqplib/##g" "$work/junit.xml"
if [ -n "${SHUNT_SUITE_REPORT:-}" ]; then cp "$work/junit.xml" "$SHUNT_SUITE_REPORT"; fi
python3 "$here/compare.py" "$expected" "$work/junit.xml"
