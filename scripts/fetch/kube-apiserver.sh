#!/usr/bin/env bash
# Builds a real kube-apiserver and its etcd from their Go modules, in .cache/interop/. Replaces a
# file of another version. Needs Go. The first build takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
kubernetes=v1.36.3
etcd=v3.6.16
target="$PWD/.cache/interop"
mkdir -p "$target"
command -v go >/dev/null || { echo "Go is missing. Install it: it builds kube-apiserver and etcd" >&2; exit 1; }
export GOFLAGS=-mod=mod

build_apiserver() {
  local scratch staging replacements=() module version=k8s.io/component-base/version major minor
  scratch=$(mktemp -d)
  (
    cd "$scratch"
    go mod init kube-apiserver-build 2>/dev/null
    # Kubernetes' module expects its libraries in its own tree, but the module's archive lacks them. Use their releases.
    staging="v0.${kubernetes#v1.}"
    while read -r module; do replacements+=("-replace=$module=$module@$staging"); done < <(
      go mod edit -json "$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')" |
        sed -n '/"Replace"/,$ s/^\t*"Path": "\(k8s\.io\/.*\)",\{0,1\}$/\1/p' | sort -u
    )
    go mod edit "-require=k8s.io/kubernetes@$kubernetes" "${replacements[@]}"
    IFS=. read -r major minor _ <<<"${kubernetes#v}"
    go build -trimpath -o "$target/kube-apiserver.new" \
      -ldflags "-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor -X $version.gitTreeState=clean" \
      k8s.io/kubernetes/cmd/kube-apiserver
  )
  mv "$target/kube-apiserver.new" "$target/kube-apiserver"
  rm -rf "$scratch"
}

build_etcd() {
  local scratch
  scratch=$(mktemp -d)
  (
    cd "$scratch"
    go mod init etcd-build 2>/dev/null
    go get "go.etcd.io/etcd/server/v3@$etcd" 2>/dev/null
    go build -trimpath -ldflags "-s -w" -o etcd.new go.etcd.io/etcd/server/v3
  )
  mv "$scratch/etcd.new" "$target/etcd"
  rm -rf "$scratch"
}

if ! "$target/etcd" --version 2>/dev/null | grep -qF "${etcd#v}"; then build_etcd; fi
if ! "$target/kube-apiserver" --version 2>/dev/null | grep -qF "$kubernetes"; then build_apiserver; fi
printf '.cache/interop/etcd: %s\n' "$("$target/etcd" --version | head -n 1)"
printf '.cache/interop/kube-apiserver: %s\n' "$("$target/kube-apiserver" --version)"
