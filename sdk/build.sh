#!/usr/bin/env bash
# Builds the guests: `build.sh [FOLDER]`, `wasm/` if none is named. The bytes depend on the sources and the compiler
# alone, not on the folder: check.sh compares them. RUSTC and CARGO name the compiler, Debian's by default.
set -euo pipefail
cd "$(dirname "$0")"
out=$(mkdir -p "${1:-wasm}" && cd "${1:-wasm}" && pwd)
export RUSTC="${RUSTC:-/usr/bin/rustc}"
cargo="${CARGO:-/usr/bin/cargo}"
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT

# Nothing but these lines may reach the compiler: RUSTFLAGS replaces the flags of every config file.
export RUSTFLAGS="-C link-arg=-zstack-size=65536 --remap-path-prefix=$PWD=/sdk"
unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC_WRAPPER
"$cargo" build --quiet --locked --offline --release --workspace --exclude stormglass-guest \
    --target wasm32-unknown-unknown --target-dir "$target"
cp "$target"/wasm32-unknown-unknown/release/*.wasm "$out"
