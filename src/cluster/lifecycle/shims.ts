import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { labNetwork } from "../record/index.ts";

/**
 * Writes small replacement programs. `serin cluster shell` puts their directory first in PATH, so that documented
 * commands work unchanged: istioctl is serin, kind and docker answer for this cluster, and sudo only runs its command.
 */
export function writeShims(stateDirectory: string, clusterName: string, releaseRoot: string): void {
  const directory = shimDirectory(stateDirectory);
  mkdirSync(directory, { recursive: true });
  const serin = `"${releaseRoot}/bin/serin"`;
  const shims: Record<string, string> = {
    serin: `exec ${serin} "$@"`,
    kind: kindShim(serin, clusterName),
    docker: dockerShim(),
    sudo: sudoShim,
  };
  for (const [name, script] of Object.entries(shims))
    writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  // Make a link, because the program behaves like istioctl when it is called by that name.
  const istioctl = join(directory, "istioctl");
  rmSync(istioctl, { force: true });
  symlinkSync(join(releaseRoot, "bin/serin"), istioctl);
}

export function shimDirectory(stateDirectory: string): string {
  return join(stateDirectory, "shims");
}

function kindShim(serin: string, clusterName: string): string {
  return `# kind create|delete cluster, kind get clusters|nodes|kubeconfig, by serin.
case "$1 $2" in
  "create cluster") shift 2; exec ${serin} cluster create "$@" ;;
  "delete cluster") shift 2; exec ${serin} cluster delete "$@" ;;
  "get clusters") exec ${serin} cluster list --names ;;
  "get kubeconfig") shift 2; case " $* " in *" --name"*) ;; *) set -- --name ${clusterName} "$@" ;; esac; exec ${serin} cluster kubeconfig "$@" ;;
  "get nodes") exec kubectl get nodes -o name ;;
  "version "*) echo "kind (serin)"; exit 0 ;;
esac
echo "kind: this stand-in supports create, delete, get clusters, get nodes, get kubeconfig" >&2
exit 1`;
}

/**
 * The script that answers `docker network inspect` for kind's network. It supports the two formats for `-f` that common
 * guides use.
 */
function dockerShim(): string {
  const { fabricCidr, hostAddress } = labNetwork;
  return `# docker network inspect kind, for the lab's fabric.
if [ "$1 $2" != "network inspect" ]; then
  echo "docker: no Docker runs here; this stand-in supports: docker network inspect [-f FORMAT] kind" >&2
  exit 1
fi
shift 2
format=
while [ $# -gt 0 ]; do
  case "$1" in
    -f|--format) format=$2; shift 2 ;;
    --format=*) format=\${1#--format=}; shift ;;
    *) shift ;;
  esac
done
case "$format" in
  '') printf '[{"Name":"kind","Driver":"bridge","IPAM":{"Driver":"default","Config":[{"Subnet":"${fabricCidr}","Gateway":"${hostAddress}"}]}}]\\n' ;;
  *.Subnet*) echo "${fabricCidr}" ;;
  *.Gateway*) echo "${hostAddress}" ;;
  *.IPAM.Config*) echo "[{${fabricCidr}  ${hostAddress} map[]}]" ;;
  *) echo "docker: this stand-in does not support the format $format" >&2; exit 1 ;;
esac`;
}

const sudoShim = `# Options of sudo are skipped, the command runs as it is.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|-h|-p) shift 2 ;;
    --) shift; break ;;
    -*) shift ;;
    *=*) export "$1"; shift ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || exit 0
exec "$@"`;
