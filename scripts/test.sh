#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Runs every test, with a limit on each where cargo-nextest is installed, on the whole otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run
    cargo test --doc
else
    # Two at a time: the tests with real servers would measure one another.
    limit=()
    command -v timeout >/dev/null && limit=(timeout --foreground 30m)
    RUST_TEST_THREADS=2 "${limit[@]}" cargo test --no-fail-fast
fi
