#!/usr/bin/env bash
# One hash of everything that the modules are made from.
set -euo pipefail
cd "$(dirname "$0")"
export LC_ALL=C
find src guests Cargo.toml Cargo.lock build.sh -type f \( -name '*.rs' -o -name 'Cargo.*' -o -name '*.sh' \) |
    sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1
