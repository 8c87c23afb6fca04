#!/usr/bin/env bash
# Whether the modules in wasm/ are what BUILD.toml says and, under the compiler that made them, what the sources give.
set -euo pipefail
cd "$(dirname "$0")"
rustc="${RUSTC:-/usr/bin/rustc}"
cargo="${CARGO:-/usr/bin/cargo}"
said() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" wasm/BUILD.toml; }

for module in wasm/*.wasm; do
    name=$(basename "$module" .wasm)
    if [ "$(sha256sum "$module" | cut -d ' ' -f 1)" != "$(said "$name")" ]; then
        echo "$module is not the module that wasm/BUILD.toml names" >&2
        exit 1
    fi
done
if [ "$(./sources.sh)" != "$(said sources)" ]; then
    echo "the modules in sdk/wasm are made from other sources than these: run sdk/build.sh" >&2
    exit 1
fi

if [ "$("$rustc" -V 2>/dev/null)" != "$(said rustc)" ] || [ "$("$cargo" -V 2>/dev/null)" != "$(said cargo)" ] ||
    [ "$(rust-lld -flavor wasm --version 2>/dev/null)" != "$(said linker)" ] ||
    [ ! -d "$("$rustc" --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    echo "SKIPPED: guests are rebuilt under rustc 1.63.0 with the wasm32 target only"
    exit 0
fi

# From a copy, because the folder in which they are built must not show.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r .cargo Cargo.toml Cargo.lock src guests build.sh sources.sh "$copy"
"$copy/build.sh" "$copy/wasm"
if ! diff -r wasm "$copy/wasm"; then
    echo "the sources in sdk give other modules than those in sdk/wasm: run sdk/build.sh" >&2
    exit 1
fi
echo "guests rebuilt by $(said rustc): $(ls wasm/*.wasm | wc -l) modules, every byte equal"
