#!/usr/bin/env bash
# Builds the example routes and puts each module beside its source.
#
#   scripts/build-routes.sh            build all
#   scripts/build-routes.sh --check    build, and fail where a committed module is another one
#   scripts/build-routes.sh --cases    build, and fail where what was built does not pass its cases:
#                                      for compilers that make other bytes (SHUNT is the broker's
#                                      binary, target/debug/shunt unless it is set)
#   scripts/build-routes.sh NAME ...   build these
#
# With rustup's target wasm32-unknown-unknown that toolchain is used. Else Debian's rustc-web is,
# installed where it is missing, with a Cargo home of its own so that it and rustup never meet.
# SHUNT_WASM_TOOLCHAIN=debian or =rustup decides otherwise. The committed modules come from
# Debian's, whose version stands in examples/routes/README.md; another compiler makes other
# bytes, though of the same meaning.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
examples=$root/examples
target=wasm32-unknown-unknown
check=none
case ${1:-} in
    --check | --cases) check=${1#--}; shift ;;
esac

# Cargo hashes the paths of crates into the names of symbols, and the names decide the order of
# functions. So the sources are built from one path on every machine.
tree=/tmp/shunt-build-routes

# A route needs little stack, and a small one leaves it with one page of memory.
stack_size=32768

has_rustup_target() {
    command -v rustup >/dev/null && rustup target list --installed 2>/dev/null | grep -qx "$target"
}

install_packages() {
    echo "installing: $*" >&2
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" >&2
}

use_rustup() {
    cargo=cargo
    rustc=rustc
    linker=rust-lld
    build_std=()
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
}

use_debian() {
    local missing=()
    [ -x /usr/bin/rustc ] || missing+=(rustc-web)
    [ -x /usr/bin/cargo ] || missing+=(cargo-web)
    [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" ] || missing+=(rust-web-src)
    command -v wasm-ld-19 >/dev/null || missing+=(lld-19)
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
    cargo=/usr/bin/cargo
    rustc=/usr/bin/rustc
    linker=wasm-ld-19
    # The package has the standard library as source only.
    build_std=(-Zbuild-std=core,alloc)
    export RUSTC_BOOTSTRAP=1
    cargo_home=${SHUNT_WASM_CARGO_HOME:-$HOME/.cargo-wasm}
    export CARGO_HOME=$cargo_home
}

copy_sources() {
    mkdir -p "$tree"
    [ -O "$tree" ] || { echo "$tree belongs to somebody else" >&2; exit 1; }
    exec 9>"$tree/lock"
    flock 9
    rm -rf "$tree/sdk" "$tree/examples"
    tar -C "$root" --exclude=target -cf - sdk/rust examples | tar -C "$tree" -xf -
}

# Builds one package; no path of this machine may stay in the module.
build_rust() {
    local flags=(
        "-Clink-arg=-zstack-size=$stack_size"
        "--remap-path-prefix=$tree=/shunt"
        "--remap-path-prefix=$cargo_home=/cargo"
        "--remap-path-prefix=$($rustc --print sysroot)=/rust"
        "--remap-path-prefix=$(realpath "$($rustc --print sysroot)/lib/rustlib/src/rust" 2>/dev/null || echo /rust)=/rust"
    )
    local encoded
    encoded=$(printf '%s\x1f' "${flags[@]}")
    (
        cd "$tree/examples"
        export CARGO_TARGET_DIR=$examples/target
        RUSTC=$rustc CARGO_ENCODED_RUSTFLAGS=${encoded%$'\x1f'} \
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
            "$cargo" build --quiet --locked --release --target "$target" "${build_std[@]}" -p "$1"
    )
    cp "$examples/target/$target/release/${1//-/_}.wasm" "$2"
}

# The same commands stand in the README of each SDK.
build_c() {
    command -v clang-19 >/dev/null && command -v wasm-ld-19 >/dev/null || install_packages clang-19 lld-19
    clang-19 --target=wasm32 -O2 -std=c11 -ffreestanding -nostdlib -I "$root/sdk/c/include" \
        -Wl,--no-entry -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=16384 -o "$2" "$1"
}

build_go() {
    local go
    go=$(command -v go || echo /usr/local/go/bin/go)
    (cd "$1" && GOOS=wasip1 GOARCH=wasm "$go" build -buildmode=c-shared -trimpath -buildvcs=false -ldflags='-s -w' -o "$2" .)
}

build_assemblyscript() {
    local asc=$root/target/guest-tools/npm/node_modules/assemblyscript/bin/asc.js
    [ -f "$asc" ] || npm install --silent --no-save --ignore-scripts --prefix "$root/target/guest-tools/npm" assemblyscript@0.28.20
    # The compiler names files in the module by their paths from here.
    (cd "$(dirname "$1")" && node "$asc" "$(basename "$1")" -O3 --runtime incremental -o "$2")
}

build_zig() {
    local zig=("$root/target/guest-tools/python/bin/python" -m ziglang)
    if [ "$(zig version 2>/dev/null)" = 0.17.1 ]; then
        zig=(zig)
    elif ! "${zig[@]}" version >/dev/null 2>&1; then
        python3 -m venv "$root/target/guest-tools/python"
        "$root/target/guest-tools/python/bin/pip" install --quiet --disable-pip-version-check ziglang==0.17.1
    fi
    "${zig[@]}" build-exe -target wasm32-freestanding -O ReleaseSmall -fno-entry -fstrip -rdynamic --stack 16384 \
        --dep shunt "-Mroot=$1" "-Mshunt=$root/sdk/zig/shunt.zig" "-femit-bin=$2"
}

build_text() {
    command -v wat2wasm >/dev/null || install_packages wabt
    wat2wasm "$1" -o "$2"
}

check_paths() {
    local found
    found=$(LC_ALL=C grep -aoE "($root|$HOME|$tree|/usr/)[[:print:]]*" "$1" | head -3 || true)
    [ -z "$found" ] || { echo "$1 has a path of this machine in it: $found" >&2; return 1; }
}

case ${SHUNT_WASM_TOOLCHAIN:-} in
    rustup) use_rustup ;;
    debian) use_debian ;;
    '') if has_rustup_target; then use_rustup; else use_debian; fi ;;
    *) echo "SHUNT_WASM_TOOLCHAIN is rustup or debian" >&2; exit 2 ;;
esac
"$rustc" --version

if [ $# = 0 ]; then
    set -- $(cd "$examples/routes" && find . -mindepth 2 -maxdepth 2 -name route.toml -printf '%h\n' | sed 's|^\./||' | sort -u)
fi
copy_sources
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
differing=()
for name; do
    folder=$examples/routes/$name
    built=$scratch/$name.wasm
    if [ -f "$folder/Cargo.toml" ]; then
        build_rust "$name" "$built"
    elif [ -f "$folder/go.mod" ]; then
        build_go "$folder" "$built"
    elif [ -f "$folder/$name.c" ]; then
        build_c "$folder/$name.c" "$built"
    elif [ -f "$folder/$name.ts" ]; then
        build_assemblyscript "$folder/$name.ts" "$built"
    elif [ -f "$folder/$name.zig" ]; then
        build_zig "$folder/$name.zig" "$built"
    elif [ -f "$folder/$name.js" ] || [ -f "$folder/${name//-/_}.py" ]; then
        # JavaScript is deployed as it is; Python's module is large, and is built when it is wanted.
        continue
    else
        build_text "$folder/$name.wat" "$built"
    fi
    check_paths "$built"
    printf '%-20s %6d bytes  %s\n' "$name" "$(stat -c %s "$built")" "$(sha256sum "$built" | cut -c1-16)"
    case $check in
        check) cmp -s "$built" "$folder/$name.wasm" || differing+=("$name") ;;
        cases) "${SHUNT:-$root/target/debug/shunt}" route test --module "$built" --cases "$folder/cases.json" >&2 \
            || differing+=("$name") ;;
        none) install -m 644 "$built" "$folder/$name.wasm" ;;
    esac
done
if [ ${#differing[@]} != 0 ]; then
    case $check in
        check) echo "the committed module is not what this toolchain builds: ${differing[*]}" >&2 ;;
        *) echo "what this toolchain builds does not pass its cases: ${differing[*]}" >&2 ;;
    esac
    exit 1
fi
