#!/usr/bin/env bash
# An optimized build that knows which code is hot: the program is built to count what it executes, works through the benchmarks at
# a small scale, and is built again by these counts (https://doc.rust-lang.org/rustc/profile-guided-optimization.html). It takes
# twice as long as `make release`, whose place its result takes. Usage: tools/profiled_release.sh TARGET_DIRECTORY PYTHON
set -euo pipefail

target=$1/profiled
python=$2
host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
if [ ! -x "$profdata" ]; then
  rustup component add llvm-tools
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
  RUSTFLAGS="${RUSTFLAGS:-} $1" cargo build --release --package boathouse --target "$host" --target-dir "$target"
}

echo "1 of 3: the program that counts"
# Link-time optimization changes nothing of what is counted.
CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 build "-Cprofile-generate=$work/counts"

echo "2 of 3: the benchmarks"
export BOATHOUSE=$target/$host/release/boathouse
run() { "$python" "bench/$1" "${@:2}" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
run tpcds.py --scale 0.1 --runs 1 --directory "$work"
run tpch.py --scale 0.1 --runs 1 --directory "$work"
run delta_tables.py --rows 300000 --appends 50 --files 50 --repeats 1 --directory "$work"
run streams.py --only nexmark small --batches 2 --events 100000 --small-batches 50
run statements.py --statements 50 --seconds 2
"$profdata" merge --output "$work/counts.profdata" "$work"/counts/*.profraw

echo "3 of 3: the program"
# Code that the benchmarks do not reach has no counts: that is no mistake.
build "-Cprofile-use=$work/counts.profdata -Cllvm-args=-pgo-warn-missing-function=false"
mkdir -p "$1/release"
cp "$BOATHOUSE" "$1/release/boathouse"
