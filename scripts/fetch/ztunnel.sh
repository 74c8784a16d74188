#!/usr/bin/env bash
# Builds Istio's ztunnel with cargo from a checkout, as .cache/interop/ztunnel. An existing file is not replaced.
#   ZTUNNEL_SOURCE=<checkout or git directory> [ZTUNNEL_REF=release-1.31] scripts/fetch/ztunnel.sh
# Needs cargo, a C compiler, cmake and protoc. The build is a release build, like that of Istio's images, and takes half
# an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="$PWD/.cache/interop"
mkdir -p "$target"

fail() {
  echo "$1" >&2
  exit 1
}

build() {
  local source=${ZTUNNEL_SOURCE:-} reference=${ZTUNNEL_REF:-release-1.31} scratch built
  [[ -n $source ]] || fail "ZTUNNEL_SOURCE is not set: let it name a checkout of ztunnel's repository"
  git -C "$source" rev-parse -q --verify "$reference^{commit}" >/dev/null ||
    fail "$source has no $reference: name a branch, tag or commit of it in ZTUNNEL_REF"
  for program in cargo cc cmake; do command -v "$program" >/dev/null || fail "$program is missing. Install it: it builds ztunnel"; done
  command -v "${PROTOC:-protoc}" >/dev/null || fail "protoc is missing. Install it, or name one in PROTOC"
  # Each commit has its own folder, so that an interrupted build can continue.
  scratch="$target/ztunnel-build/$(git -C "$source" rev-parse --short=12 "$reference^{commit}")"
  if [[ ! -f $scratch/Cargo.toml ]]; then
    rm -rf "$scratch"
    mkdir -p "$scratch"
    # Leave out the large folders of other builds.
    git -C "$source" ls-tree --name-only "$reference" | grep -vx -e vendor -e fuzz |
      xargs git -C "$source" archive "$reference" -- | tar -x -C "$scratch"
    # Remove an optional dependency from outside the registry. The release does not use this TLS library.
    sed -i -e '/^boring-rustls-provider *=/d' -e 's/^tls-boring *=.*/tls-boring = []/' "$scratch/Cargo.toml"
  fi
  # The feature `testing` contains the fake authority that `npm run bench:ztunnel` needs. The build script asks git for
  # the version, and must not find this repository.
  (cd "$scratch" && GIT_CEILING_DIRECTORIES="$target" VERSION="$reference" cargo build --release --features testing --bin ztunnel)
  built="$scratch/out/rust/release/ztunnel"
  install -m 755 "$built" "$target/ztunnel.new"
  mv "$target/ztunnel.new" "$target/ztunnel"
  rm -rf "$target/ztunnel-build"
}

[[ -x $target/ztunnel ]] || build
printf '.cache/interop/ztunnel: %s\n' "$("$target/ztunnel" version 2>/dev/null | head -1 | cut -c1-120)"
