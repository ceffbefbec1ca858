#!/usr/bin/env bash
# Runs the test suite. Arguments go to `swift test`, as in: Scripts/test.sh --filter ReportsTests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. Scripts/prerequisites.sh

require_swift
require_libraries
require_kernel_compiler
quiet_build build-tests --build-tests
say "swift test --skip-build $*"
exec swift test --skip-build "$@"
