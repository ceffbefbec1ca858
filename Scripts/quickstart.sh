#!/usr/bin/env bash
# Builds herd and runs the whole story on the embedded model: dense, converted, trained, evaluated.
# Arguments go to `herd run`, as in: Scripts/quickstart.sh --output runs/first
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. Scripts/prerequisites.sh

require_swift
require_libraries
quiet_build build-release -c release --product herd
herd="$(swift build -c release --show-bin-path)/herd"
say "$herd run Pipelines/quickstart $*"
exec "$herd" run Pipelines/quickstart "$@"
