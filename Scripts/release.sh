#!/usr/bin/env bash
# Builds a stripped herd into dist/ that needs neither Swift nor OpenBLAS nor zstd installed,
# as far as static libraries are there, and compresses it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. Scripts/prerequisites.sh

require_swift
require_libraries

# The linker prefers a shared library to a static one in the same folder, so the static ones are
# offered in a folder of their own that is searched first.
static="$PWD/.build/static-libraries"
rm -rf "$static"
mkdir -p "$static" dist
offer() { # name of the library, folders to look in
  local name="lib$1.a" folder
  shift
  for folder in "$@"; do
    if [ -f "$folder/$name" ]; then
      ln -s "$(readlink -f "$folder/$name")" "$static/$name"
      return 0
    fi
  done
  return 1
}
system="/usr/lib/$(uname -m)-linux-gnu"
gcc_folder="$(printf '%s\n' /usr/lib/gcc/"$(uname -m)"-linux-gnu/*/ | sort -V | tail -n 1)"
flags=(-Xlinker "-L$static" -Xswiftc -Xclang-linker -Xswiftc -static-libgcc)
offer zstd "$(pkg-config --variable=libdir libzstd)" "$system" ||
  say "no static libzstd: the binary will need libzstd1"
offer stdc++ "$gcc_folder" || say "no static libstdc++: the binary will need libstdc++6"
if offer openblas "$(pkg-config --variable=libdir openblas)" "$system/openblas-pthread" "$system"; then
  # pkg-config names the folder of the shared library; this description names ours instead.
  printf '%s\n' "Name: openblas" "Description: static OpenBLAS" \
    "Version: $(pkg-config --modversion openblas)" \
    "Libs: -L$static -lopenblas" "Cflags: $(pkg-config --cflags openblas)" >"$static/openblas.pc"
  export PKG_CONFIG_PATH="$static${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
  # Its LAPACK part calls the Fortran run-time; the linker takes it only where it is used.
  if offer gfortran "$gcc_folder"; then
    flags+=(-Xlinker -lgfortran)
    offer quadmath "$gcc_folder" && flags+=(-Xlinker -lquadmath)
  fi
else
  say "no static libopenblas: the binary will need libopenblas0"
fi

quiet_build build-static -c release --product herd --static-swift-stdlib "${flags[@]}"
binary="$(swift build -c release --show-bin-path)/herd"
name="herd-linux-$(uname -m)"
cp "$binary" "dist/$name"
strip --strip-all "dist/$name"
if command -v zstd >/dev/null; then
  zstd --ultra -22 -q -f "dist/$name" -o "dist/$name.zst"
  packed="dist/$name.zst"
else
  xz -9e -k -f "dist/$name"
  packed="dist/$name.xz"
fi

say "shared libraries still needed:"
ldd "dist/$name" | awk '{ print "    " $1 }' >&2
for file in "dist/$name" "$packed"; do
  printf '%s  %s MB\n' "$file" "$(awk -v b="$(stat -c %s "$file")" 'BEGIN { printf "%.1f", b / 1e6 }')"
done
"dist/$name" --version >/dev/null 2>&1 || "dist/$name" --help >/dev/null
