#!/bin/sh
# Fuzzes the parsers of Formats under the address sanitizer.
# Usage: Scripts/fuzz.sh [SECONDS]; 60 by default. New inputs go to .build-fuzz/corpus.
set -eu
seconds="${1:-60}"
cd "$(dirname "$0")/.."
FUZZ=1 swift build -c release --scratch-path .build-fuzz --product FuzzFormats
mkdir -p .build-fuzz/corpus
# The crash reporter of Swift would trip the sanitizer.
SWIFT_BACKTRACE=enable=no exec .build-fuzz/release/FuzzFormats \
  -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
  -artifact_prefix=.build-fuzz/ .build-fuzz/corpus Tests/Fuzz/Corpus </dev/null
