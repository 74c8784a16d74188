import { hostCovers, isWildcard } from "../../../api/istio/index.ts";
import type { MeshSettings } from "../facts.ts";
import { memos } from "../memos.ts";
import { mostSpecificHost } from "./service-hostname.ts";

const tables = memos.memo<MeshSettings, ReadonlyMap<string, boolean>>("cluster-local-hosts");

/**
 * Whether a host means each cluster's own service. The mesh config's `serviceSettings` decide. By default, only
 * Kubernetes' own services are cluster-local.
 */
export function isClusterLocal(hostname: string, mesh: MeshSettings): boolean {
  const hosts = tables.of(mesh, clusterLocalHosts);
  return hosts.get(mostSpecificHost(hosts.keys(), hostname) ?? "") ?? false;
}

function clusterLocalHosts({ domain, rootNamespace, serviceSettings }: MeshSettings): ReadonlyMap<string, boolean> {
  const builtIn = [
    `*.kube-system.svc.${domain}`,
    `kubernetes.default.svc.${domain}`,
    `istiod.${rootNamespace}.svc.${domain}`,
  ];
  const configured = serviceSettings.flatMap(({ hosts, clusterLocal }) =>
    hosts.map((host) => [host.toLowerCase(), clusterLocal] as const),
  );
  // A host that the configuration makes global is no longer cluster-local by default.
  const isTakenBack = (host: string): boolean =>
    configured.some(([other, local]) => !local && (other === host || (isWildcard(host) && hostCovers(host, other))));
  return new Map([...builtIn.filter((host) => !isTakenBack(host)).map((host) => [host, true] as const), ...configured]);
}
