#!/usr/bin/env bash
# Runs pika's own acceptance tests against a running broker.
#
#   tests/suites/pika.sh CHECKOUT [pytest arguments, e.g. -k NAME]
#
# CHECKOUT is a folder with a checkout of the client's repository; it is copied, not changed.
#   SHUNT_AMQP_HOST, SHUNT_AMQP_PORT   the broker, default 127.0.0.1:5672
#   SHUNT_SUITE_EXPECTED               the list of expected failures, default pika.expected
#   SHUNT_SUITE_VENV                   the Python environment, made if it is not there
#   SHUNT_SUITE_REPORT                 where to leave the JUnit XML, default nowhere
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=${1:?usage: pika.sh CHECKOUT [pytest arguments]}
shift
host=${SHUNT_AMQP_HOST:-127.0.0.1}
port=${SHUNT_AMQP_PORT:-5672}
expected=${SHUNT_SUITE_EXPECTED:-$here/pika.expected}
venv=${SHUNT_SUITE_VENV:-${TMPDIR:-/tmp}/shunt-suite-pika-venv}

[ -d "$checkout/tests/acceptance" ] || { echo "no pika checkout at $checkout" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -x "$venv/bin/pytest" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet pytest pytest-timeout gevent tornado twisted
fi

# The tests name the broker in three ways: a URL template, and host and port on one line or two.
cp -r "$checkout/." "$work/pika"
cd "$work/pika"
find tests/acceptance tests/base -name '*.py' -exec perl -0pi -e "
    s/guest:guest\@127\.0\.0\.1:/guest:guest\@$host:/g;
    s/\{'port': 5672\}/{'port': $port}/g;
    s/host='127\.0\.0\.1',(\s*)port=5672/host='$host',\$1port=$port/g;
" {} +
if grep -rn '5672' tests/acceptance tests/base --include='*.py' | grep -v 'require a RabbitMQ' |
    grep -v "port=$port\b" | grep -v "'port': $port}"; then
    echo "pika.sh: the lines above name a port that this script does not know of" >&2
    exit 2
fi

status=0
"$venv/bin/pytest" -q -p no:cacheprovider --timeout 120 --junitxml="$work/junit.xml" \
    tests/acceptance "$@" >"$work/log" 2>&1 || status=$?
tail -n 3 "$work/log"
if [ ! -s "$work/junit.xml" ]; then
    cat "$work/log"
    echo "pika.sh: pytest left no report (exit code $status)" >&2
    exit 2
fi
if [ -n "${SHUNT_SUITE_REPORT:-}" ]; then cp "$work/junit.xml" "$SHUNT_SUITE_REPORT"; fi
"$venv/bin/python" "$here/compare.py" "$expected" "$work/junit.xml"
