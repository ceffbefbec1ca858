# Sourced by the other scripts: checks for the Swift toolchain, installs the system libraries.
# shellcheck shell=bash

say() { printf '==> %s\n' "$*" >&2; }

require_swift() {
  command -v swift >/dev/null && return
  cat >&2 <<'EOF'
No Swift toolchain was found. This command installs one for the present user:

  curl -O https://download.swift.org/swiftly/linux/swiftly-$(uname -m).tar.gz && tar zxf swiftly-$(uname -m).tar.gz && ./swiftly init --quiet-shell-followup && . "${SWIFTLY_HOME_DIR:-$HOME/.local/share/swiftly}/env.sh" && hash -r

Run it, then this script again.
EOF
  exit 1
}

# Installs packages of Debian's names, through sudo where needed.
install_packages() {
  if ! command -v apt-get >/dev/null; then
    say "missing: $*; install them (Debian names) with this system's package manager"
    exit 1
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      say "missing: $*; as root run: apt-get install $*"
      exit 1
    fi
    as_root=(sudo)
  fi
  say "installing with apt-get${as_root[0]:+ (through sudo)}: $*"
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >&2
}

# The development packages the package manifest names, as far as they are missing.
require_libraries() {
  local missing=()
  if command -v pkg-config >/dev/null; then
    pkg-config --exists openblas || missing+=(libopenblas-dev)
    pkg-config --exists libzstd || missing+=(libzstd-dev)
  else
    missing=(pkg-config libopenblas-dev libzstd-dev)
  fi
  [ ${#missing[@]} -eq 0 ] && return

  install_packages "${missing[@]}"
}

# Builds with the given arguments; the output, which is mostly linker remarks, goes to a file and
# is shown only when the build fails.
quiet_build() {
  local log
  mkdir -p .build
  log=".build/$1.log"
  shift
  say "swift build $* (output in $log)"
  if ! swift build "$@" >"$log" 2>&1; then
    grep -E 'error:|fatal|undefined' "$log" | sort -u | head -50 >&2 || true
    say "the build failed; last lines of $log:"
    tail -n 20 "$log" >&2
    exit 1
  fi
}

# The compiler of CUDA kernels, so that the tests compile them without a GPU. Left out, with a word,
# where Python cannot fetch it.
require_kernel_compiler() {
  local folder=.build/cuda
  if ! compgen -G "$folder/nvidia/*/lib/libnvrtc.so.*" >/dev/null; then
    if [ -n "${HERD_REQUIRE_KERNELS:-}" ] && ! python3 -m pip --version >/dev/null 2>&1; then
      install_packages python3-pip
    fi
    if ! { command -v python3 && python3 -m pip --version; } >/dev/null 2>&1; then
      say "without Python's pip the CUDA kernels are not compiled by the tests"
      return
    fi
    mkdir -p "$folder"
    if ! { python3 -m pip download -q --no-deps -d "$folder" nvidia-cuda-nvrtc &&
      python3 -m zipfile -e "$folder"/nvidia_cuda_nvrtc-*.whl "$folder"; } >"$folder/log" 2>&1; then
      say "nvidia-cuda-nvrtc could not be fetched: the CUDA kernels are not compiled by the tests"
      return
    fi
  fi
  HERD_CUDA_LIBRARIES="$(cd "$folder" && ls -d "$PWD"/nvidia/*/lib | head -n 1)"
  export HERD_CUDA_LIBRARIES
}
