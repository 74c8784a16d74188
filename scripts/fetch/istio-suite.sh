#!/usr/bin/env bash
# Builds Istio's own integration tests, and the programs that their pods run, in .cache/interop/istio-suite. Existing
# files are not replaced.
#   scripts/fetch/istio-suite.sh [SUITE …]   names from scripts/istio-suite/suites.ts: pilot.main security.crl
# Needs Go, and downloads 0.5 GB. The first suite takes many minutes, each other suite one or two.
set -euo pipefail
cd "$(dirname "$0")/../.."
istio=v0.0.0-20260827124520-eed52ebb66ad
api=v1.31.1
target="$PWD/.cache/interop/istio-suite"
overlay="$PWD/test/interop/istio-suite/overlay"
source="$target/source"
export GOFLAGS=-mod=mod
suites=("$@")
[[ $# -gt 0 ]] || suites=(pilot.main)

# Copies the module's sources, because the tests read some of its files while they run.
copy_source() {
  local module
  module=$(go mod download -json "istio.io/istio@$istio" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  rm -rf "$source.part"
  cp -r "$module" "$source.part"
  chmod -R u+w "$source.part"
  # The module names some versions by commit. Replace them by the closest releases.
  (cd "$source.part" && go mod edit "-replace=istio.io/api=istio.io/api@$api" "-replace=istio.io/client-go=istio.io/client-go@$api" \
    -replace=github.com/envoyproxy/go-control-plane/envoy=github.com/envoyproxy/go-control-plane/envoy@v1.40.0 \
    -replace=github.com/envoyproxy/go-control-plane/contrib=github.com/envoyproxy/go-control-plane/contrib@v1.36.1-0.20260729145720-a2d8c7492908)
  mv "$source.part" "$source"
}

# Makes the tests call the program istioctl instead of Istio's library. Each line changes one file of the copy, and
# does nothing if the file is already changed.
lay_over() {
  local framework="$source/pkg/test/framework/components"
  install -m 644 "$overlay/installer.go" "$framework/istio/installer.go"
  install -m 644 "$overlay/istioctl-kube.go" "$framework/istioctl/kube.go"
  # Remove the library's settings for a control plane outside the cluster.
  sed -i -e '/"istio.io\/istio\/istioctl\/cmd"$/d' -e 's/:= cmd\.ConfigAndEnvProcessing()/:= error(nil)/' "$framework/istio/kube.go"
  # Tests of virtual machines use the name of istiod's Service. Write the name itself instead of the library's function.
  sed -i -e '/istioctlcmd "istio.io\/istio\/istioctl\/pkg\/workload"$/d' -e 's/= istioctlcmd\.IstiodHost(istioNS, istioRevision)/= "istiod." + istioNS + ".svc" + istioRevision[:0]/' \
    "$framework/echo/kube/deployment.go"
  # A program reports errors by its exit code. It also knows its namespace, and links to the documents of its own
  # version.
  sed -i -e 's/BeIdenticalTo(analyzerFoundIssuesError)/MatchError(ContainSubstring("exit status 79"))/' -e 's/MatchError(analyze\.FileParseError{})/MatchError(ContainSubstring("exit status"))/' \
    -e 's/strings.Split(analyzerFoundIssuesError.Error(), /strings.Split(strings.NewReplacer("namespace: .", "", "See https:\/\/istio.io\/v1.30", "").Replace(analyzerFoundIssuesError.Error()), /' \
    "$source/tests/integration/pilot/analyze_test.go"
  # Envoy 1.21 accepts a router without a type, and searches domains in spite of `NoDefaultSearchDomain`. A newer Envoy
  # does neither.
  local proxy="$source/tests/integration/pilot/forwardproxy/envoy_config_generator.go"
  grep -q envoy_router "$proxy" || sed -i \
    -e 's#^\t*Name: "envoy.filters.http.router",$#&\nConfigType: \&envoy_hcm.HttpFilter_TypedConfig{TypedConfig: protoconv.MessageToAny(\&envoy_router.Router{})},#' \
    -e 's#^\tenvoy_hcm "github.com.*#\tenvoy_router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"\n&#' \
    -e 's#NoDefaultSearchDomain: true#NoDefaultSearchDomain: false#' "$proxy"
  # A lab cannot reach a registry, so no test looks there for an image. The runner builds the releases from which the
  # tests upgrade.
  sed -i -e '/"istio.io\/istio\/pkg\/util\/image"$/d' -e 's/:= image\.Exists(.*String()); err/:= true, error(nil); err/' \
    "$source/tests/integration/helm/upgrade/helm_upgrade_test.go"
  # Rename these files, because by their names Go compiles them only for WebAssembly.
  local wasm
  for wasm in "$source"/tests/integration/{ambient,telemetry/api}/trafficextension_wasm_test.go; do
    [[ ! -e $wasm ]] || mv "$wasm" "${wasm%_wasm_test.go}_modules_test.go"
  done
  # Skip 400 packages of types that no test uses.
  printf 'package xds\n' >"$source/pkg/config/xds/filter_types.gen.go"
}

program() {
  [[ -x $target/$1 ]] || (cd "$source" && go build -trimpath -ldflags "-s -w" -o "$target/$1" "$2")
}

command -v go >/dev/null || { echo "Go is missing. Install it: it builds Istio's tests" >&2; exit 1; }
mkdir -p "$target"
[[ -d $source ]] || copy_source
lay_over
# The scripts in a module's archive are not executable, and tests run some of them.
find "$source/samples" "$source/tests" -name '*.sh' -exec chmod +x {} +
# Containers see the programs' directory, so the certificates are there too.
for file in cert-chain key root-cert; do install -m 644 "$source/tests/testdata/certs/dns/$file.pem" "$target/$file.pem"; done
program server ./pkg/test/echo/cmd/server
program client ./pkg/test/echo/cmd/client
program extauthz ./samples/extauthz/cmd/extauthz
program jwt-server ./samples/jwt-server/src
program fake-registry ./pkg/test/fakes/imageregistry
program echo-basic sigs.k8s.io/gateway-api/conformance/echo-basic
# TestTunnelingOutboundTraffic uses Envoy as its forward proxy.
[[ " ${suites[*]} " != *" pilot.main "* ]] || scripts/fetch/envoy.sh
for suite in "${suites[@]}"; do
  [[ -x $target/$suite.test ]] || (cd "$source" && go test -c -vet=off -tags=integ -trimpath -ldflags "-s -w" -o "$target/$suite.test" "./tests/integration/$(tr . / <<<"${suite%.main}")")
done
printf '.cache/interop/istio-suite: istio.io/istio %s, %s\n' "$istio" "${suites[*]}"
