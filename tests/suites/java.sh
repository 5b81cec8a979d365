#!/usr/bin/env bash
# Runs the tests of the RabbitMQ Java client against a running broker.
#
#   tests/suites/java.sh CHECKOUT [test classes or suites, with commas; as of Maven's -Dit.test]
#
# CHECKOUT is a folder with a checkout of the client's repository, with `deps/rabbitmq_codegen` in
# it as its own instructions have it; it is copied, not changed. Default: ClientTestSuite and
# FunctionalTestSuite.
#   SHUNT_AMQP_PORT        the broker on 127.0.0.1, default 5672
#   SHUNT_HTTP_PORT        its HTTP port, default 15672, for what the tests ask of rabbitmqctl
#   SHUNT_SUITE_STOP, SHUNT_SUITE_START   commands that stop and start the broker, for the tests
#                          that restart it
#   SHUNT_SUITE_EXPECTED   the list of expected failures, default java.expected
#   SHUNT_SUITE_REPORT     a folder where to leave the JUnit XML, default nowhere
#   SHUNT_SUITE_WORK       a folder for the copy, kept with what Maven built, default a new one
#   SHUNT_SUITE_TIMEOUT    seconds for all tests, default 3600
#   MAVEN_ARGUMENTS        more arguments for Maven
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=${1:?usage: java.sh CHECKOUT [tests]}
tests=${2:-ClientTestSuite,FunctionalTestSuite}
port=${SHUNT_AMQP_PORT:-5672}
export SHUNT_HTTP_PORT=${SHUNT_HTTP_PORT:-15672}
expected=${SHUNT_SUITE_EXPECTED:-$here/java.expected}

[ -f "$checkout/deps/rabbitmq_codegen/amqp_codegen.py" ] || {
    echo "no checkout of the Java client with deps/rabbitmq_codegen at $checkout" >&2
    exit 2
}
work=${SHUNT_SUITE_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work/java"
cp -r "$checkout/." "$work/java"
cd "$work/java"
rm -rf target/failsafe-reports
# The port is a constant of the client, generated from the protocol's description; tests repeat it.
grep -rlw 5672 src deps/rabbitmq_codegen | xargs -r sed -i "s/\b5672\b/$port/g"

# The smallest frame that a server must take is 8192 bytes since RabbitMQ 4.1; an older codegen
# says 4096, which a test of the handshake goes by.
sed -i 's/"FRAME-MIN-SIZE", "value": 4096/"FRAME-MIN-SIZE", "value": 8192/' \
    deps/rabbitmq_codegen/amqp-rabbitmq-*.json

# One test waits for a recovery that the client's usual transport, Netty, doesn't begin: its event
# loop is held by the consumer that it shall free. It fails against RabbitMQ as well; the client's
# own build skips it, because its broker runs in a container.
sed -i '/NoAutoRecoveryWhenTcpWindowIsFullTest.class/d' \
    src/test/java/com/rabbitmq/client/test/ClientTestSuite.java

# One test asks whether the client's write was reported as done as soon as the message has come back.
# Two threads of the client tell these, in either order: it may wait for the second.
sed -i 's/assertThat(canBeReleased.get()).isTrue();/TestUtils.waitAtMost(canBeReleased::get);/' \
    src/test/java/com/rabbitmq/client/test/PublishWithByteBufferTest.java

# One test asks for a message on the channel that its publish before that closes. Where the broker's answer
# is there before the call, the call ends in another exception than after it, with the same reason.
sed -i '/void nonArray()/,/^    }/ s/} catch (IOException e) {/} catch (com.rabbitmq.client.ShutdownSignalException e) {\
            checkShutdownSignal(AMQP.PRECONDITION_FAILED, e);\
        &/' src/test/java/com/rabbitmq/client/test/functional/CcRoutes.java

# Reports of its observations come from a package that is not published any more at the version
# that the checkout names; an earlier one has it.
status=0
# shellcheck disable=SC2086
timeout "${SHUNT_SUITE_TIMEOUT:-3600}" mvn -B -q verify \
    -Dmicrometer.version=1.15.4 -Dmicrometer-tracing-test.version=1.5.4 \
    -Drabbitmqctl.bin="$here/rabbitmqctl" -Dtest-broker.A.node_port="$port" \
    -Dtest-broker.A.nodename=shunt@localhost -Dmaven.javadoc.skip=true \
    -Dit.test="$tests" ${MAVEN_ARGUMENTS:-} >"$work/log" 2>&1 || status=$?
reports=(target/failsafe-reports/TEST-*.xml)
if [ ! -s "${reports[0]}" ]; then
    tail -n 100 "$work/log"
    echo "java.sh: Maven left no report (exit code $status)" >&2
    exit 2
fi
if [ -n "${SHUNT_SUITE_REPORT:-}" ]; then
    mkdir -p "$SHUNT_SUITE_REPORT"
    cp "${reports[@]}" "$SHUNT_SUITE_REPORT"
fi
python3 "$here/compare.py" "$expected" "${reports[@]}"
