#!/usr/bin/env bash
# Builds a whole Kubernetes from Go modules. .cache/kubernetes/<version>/ gets API server, controller manager,
# scheduler, kubelet, kube-proxy and kubectl. .cache/kubernetes/peers/ gets etcd, containerd with its shim, and CoreDNS.
# Existing files are not replaced. Needs Go. The first build takes about 15 minutes on two cores.
#   scripts/fetch/kubernetes.sh [1.36.3]
set -euo pipefail
cd "$(dirname "$0")/../.."
kubernetes="v${1:-1.36.3}"
etcd=v3.6.16
containerd=v2.3.7
coredns=v1.14.7
target="$PWD/.cache/kubernetes/${kubernetes#v}"
peers="$PWD/.cache/kubernetes/peers"
mkdir -p "$target" "$peers"
command -v go >/dev/null || { echo "Go is missing. Install it: it builds Kubernetes, etcd, containerd and CoreDNS" >&2; exit 1; }
export GOFLAGS=-mod=mod CGO_ENABLED=0
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT

# build <module@version> <package>...: builds in a separate module. The programs are in $scratch/<name>/out.
build() {
  local name=$1 required=$2
  shift 2
  mkdir -p "$scratch/$name/out"
  (
    cd "$scratch/$name"
    [ -f go.mod ] || go mod init "$name-build" 2>/dev/null
    go get "$required" 2>/dev/null
    nice go build -trimpath -ldflags "-s -w" -o out/ "$@"
  )
}

build_kubernetes() {
  local staging replacements=() module version=k8s.io/component-base/version major minor programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
  mkdir -p "$scratch/kubernetes/out"
  (
    cd "$scratch/kubernetes"
    go mod init kubernetes-build 2>/dev/null
    # Kubernetes' module expects its libraries in its own tree, but the module's archive lacks them. Use their releases.
    staging="v0.${kubernetes#v1.}"
    while read -r module; do replacements+=("-replace=$module=$module@$staging"); done < <(
      go mod edit -json "$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')" |
        sed -n '/"Replace"/,$ s/^\t*"Path": "\(k8s\.io\/.*\)",\{0,1\}$/\1/p' | sort -u
    )
    go mod edit "-require=k8s.io/kubernetes@$kubernetes" "${replacements[@]}"
    IFS=. read -r major minor _ <<<"${kubernetes#v}"
    nice go build -trimpath -o out/ \
      -ldflags "-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major -X $version.gitMinor=$minor -X $version.gitTreeState=clean" \
      "${programs[@]/#/k8s.io/kubernetes/cmd/}"
  )
  mv "$scratch/kubernetes/out/"* "$target/"
}

build_coredns() {
  mkdir -p "$scratch/coredns"
  # Build only the plugins that a cluster's DNS needs, because building all plugins takes ten times as long.
  cat > "$scratch/coredns/main.go" <<'GO'
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() { coremain.Run() }
GO
  build coredns "github.com/coredns/coredns@$coredns" .
  mv "$scratch/coredns/out/coredns-build" "$peers/coredns-$coredns"
}

if [ ! -x "$peers/etcd-$etcd" ]; then
  build etcd "go.etcd.io/etcd/server/v3@$etcd" go.etcd.io/etcd/server/v3
  mv "$scratch/etcd/out/"* "$peers/etcd-$etcd"
fi
if [ ! -x "$peers/containerd-$containerd/containerd" ]; then
  commands=github.com/containerd/containerd/v2/cmd
  build containerd "github.com/containerd/containerd/v2@$containerd" "$commands/containerd" "$commands/containerd-shim-runc-v2" "$commands/ctr"
  mkdir -p "$peers/containerd-$containerd"
  mv "$scratch/containerd/out/"* "$peers/containerd-$containerd/"
fi
[ -x "$peers/coredns-$coredns" ] || build_coredns
[ -x "$target/kubelet" ] && [ -x "$target/kubectl" ] || build_kubernetes
ln -sfn "etcd-$etcd" "$peers/etcd"
ln -sfn "containerd-$containerd" "$peers/containerd"
ln -sfn "coredns-$coredns" "$peers/coredns"
printf '%s\n' "${target#"$PWD/"}: $("$target/kubelet" --version)" "${peers#"$PWD/"}: $(ls "$peers" | grep -e -v | tr '\n' ' ')"
