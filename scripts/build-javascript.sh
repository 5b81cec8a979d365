#!/usr/bin/env bash
# Builds host/wasm/javascript/engine.wasm, which runs routes in JavaScript, from its own sources
# and QuickJS's.
#
#   scripts/build-javascript.sh            build it in place
#   scripts/build-javascript.sh --check    build it beside, and fail where it differs
#
# The module is committed, so that neither a build of the broker nor a user needs a C compiler for
# WebAssembly. It comes from Debian's clang-19 and wasi-libc, and from the QuickJS that
# host/wasm/javascript/Cargo.lock names by its checksum; engine.toolchain says with which. Another
# version of the compiler makes other bytes: --check then compares imports and exports only.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/host/wasm/javascript
check=false
[ "${1:-}" = --check ] && check=true

missing=()
command -v clang-19 >/dev/null || missing+=(clang-19)
command -v wasm-ld-19 >/dev/null || missing+=(lld-19)
[ -f /usr/lib/wasm32-wasi/libc.a ] || missing+=(wasi-libc)
[ -d /usr/lib/llvm-19/lib/clang/19/lib/wasi ] || missing+=(libclang-rt-19-dev-wasm32)
if [ ${#missing[@]} != 0 ]; then
    if [ "${CI:-false}" != true ]; then
        echo "skipped: apt-get install ${missing[*]}" >&2
        exit 0
    fi
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

cargo fetch --quiet --locked --manifest-path "$folder/Cargo.toml"
sources=$(cargo metadata --format-version 1 --locked --offline --manifest-path "$folder/Cargo.toml" \
    | python3 -c 'import json,os,sys
print(*(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == "rquickjs-sys"))')/quickjs
[ -f "$sources/quickjs.c" ] || { echo "no QuickJS in $sources" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
flags=(
    --target=wasm32-wasi --sysroot=/usr -O2 -std=gnu11 -DNDEBUG -D_GNU_SOURCE
    -D_WASI_EMULATED_SIGNAL -fvisibility=hidden -I "$sources"
    "-ffile-prefix-map=$sources=quickjs" "-ffile-prefix-map=$folder=engine"
)
(
    # One after the other: the order of the objects is a part of the result.
    for source in quickjs libregexp libunicode dtoa; do
        clang-19 "${flags[@]}" -w -c -o "$scratch/$source.o" "$sources/$source.c"
    done
    for source in engine values; do
        clang-19 "${flags[@]}" -Wall -Wextra -Wno-unused-parameter -Werror -isystem "$sources" \
            -c -o "$scratch/$source.o" "$folder/src/$source.c"
    done
)
# The stack comes first, so that one that overflows is a trap.
clang-19 "${flags[@]}" -mexec-model=reactor -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=262144 \
    -o "$scratch/engine.wasm" "$scratch"/{engine,values,quickjs,libregexp,libunicode,dtoa}.o

toolchain() { dpkg-query -W -f '${Package} ${Version}\n' clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32; }
shape() {
    python3 - "$1" <<'P'
import sys
data, at = open(sys.argv[1], "rb").read(), 8
def number():
    global at
    result = shift = 0
    while True:
        byte = data[at]; at += 1
        result |= (byte & 127) << shift; shift += 7
        if byte < 128: return result
def text():
    global at
    length = number(); at += length
    return data[at - length:at].decode()
while at < len(data):
    kind = data[at]; at += 1
    end = number() + at
    if kind == 2:
        for _ in range(number()):
            print("import", text(), text(), data[at]); at += 1; number()
    if kind == 7:
        for _ in range(number()):
            print("export", text(), data[at]); at += 1; number()
    at = end
P
}

if ! $check; then
    install -m 644 "$scratch/engine.wasm" "$folder/engine.wasm"
    toolchain > "$folder/engine.toolchain"
    shape "$folder/engine.wasm"
elif [ "$(toolchain)" = "$(cat "$folder/engine.toolchain")" ]; then
    cmp "$scratch/engine.wasm" "$folder/engine.wasm"
else
    echo "another toolchain than engine.toolchain says: its imports and exports are compared" >&2
    diff <(shape "$scratch/engine.wasm") <(shape "$folder/engine.wasm")
fi
printf '%-20s %s bytes\n' engine.wasm "$(stat -c %s "$scratch/engine.wasm")"
