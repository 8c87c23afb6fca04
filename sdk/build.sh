#!/usr/bin/env bash
# Builds the guests: `build.sh [FOLDER]`, `wasm/` if none is named, and BUILD.toml beside them. The bytes depend on the
# sources and the compiler alone, not on the folder. RUSTC and CARGO name the compiler, Debian's by default.
set -euo pipefail
cd "$(dirname "$0")"
out=$(mkdir -p "${1:-wasm}" && cd "${1:-wasm}" && pwd)
export RUSTC="${RUSTC:-/usr/bin/rustc}" CARGO="${CARGO:-/usr/bin/cargo}"
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT

# Nothing but this may reach the compiler: RUSTFLAGS replaces the flags of every config file.
export RUSTFLAGS="-C link-arg=-zstack-size=65536 --remap-path-prefix=$PWD=/sdk"
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER
"$CARGO" build --quiet --locked --offline --release --workspace --exclude stormglass-guest \
    --target wasm32-unknown-unknown --target-dir "$target"

for module in "$target"/wasm32-unknown-unknown/release/*.wasm; do
    install -m 644 "$module" "$out"
done
{
    echo "# How the modules beside this file were made: written by sdk/build.sh, compared by sdk/check.sh."
    echo 'command = "sdk/build.sh"'
    echo "rustc = \"$("$RUSTC" -V)\""
    echo "cargo = \"$("$CARGO" -V)\""
    echo "linker = \"$(rust-lld -flavor wasm --version)\""
    echo "sources = \"$(./sources.sh)\""
    echo
    echo "[sha256]"
    (cd "$out" && LC_ALL=C sha256sum -- *.wasm) | sed -E 's/^([0-9a-f]+)  (.*)\.wasm$/\2 = "\1"/'
} >"$out/BUILD.toml"
