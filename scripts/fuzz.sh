#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Fuzzes everything that comes off the wire in a WebRTC session: each target for some seconds, beginning
# with the seeds that `make test` runs too. What it finds is in fuzz/artifacts; once it is mended it
# becomes a seed.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-60}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(answer headers messages)

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is not installed: cargo install cargo-fuzz" >&2
    exit 1
fi
# The stable compiler can all that is needed here, if it is allowed to.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    cargo fuzz run -O "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048
done
