import { compareText, factsKey, hostnameOf, meshKey } from "../model/facts.ts";
import { remoteKey, type MeshInputs } from "../model/index.ts";
import { clusterSetHost } from "../model/service/imported-services.ts";
import type { ServiceRegistry } from "../model/service/service-model.ts";

/** A service of `/debug/mcsz` in one cluster, in upstream's form. */
export interface MultiClusterServiceForm {
  readonly Cluster: string;
  readonly Name: string;
  readonly Namespace: string;
  readonly Exported: boolean;
  readonly Imported: boolean;
  /** The import's address. Empty as long as it has none. */
  readonly ClusterSetVIP: string;
  /** The clusters that see the endpoints of an exported service, by host. */
  readonly Discoverability: Readonly<Record<string, string>> | null;
}

const everyCluster = "AlwaysDiscoverable";
const sameCluster = "DiscoverableFromSameCluster";

/** The exports and imports of each cluster, sorted by cluster, namespace and name. */
export function multiClusterServices(
  inputs: MeshInputs,
  registry: Pick<ServiceRegistry, "imported">,
): readonly MultiClusterServiceForm[] {
  const mesh = inputs.mesh.get(meshKey);
  if (mesh === undefined) return [];
  const { multiClusterServices: settings, clusterId: home } = mesh;
  const keys = new Map(
    [...inputs.serviceExports.entries(), ...inputs.serviceImports.entries()].map(([key, facts]) => [key, facts]),
  );
  return [...keys]
    .map(([key, { clusterId, namespace, name }]): MultiClusterServiceForm => {
      const facts = { namespace, name };
      const host = clusterSetHost(facts);
      const isExported = settings !== undefined && inputs.serviceExports.get(key) !== undefined;
      const imported = inputs.serviceImports.get(key);
      const vip = registry.imported.get(`${namespace}/${host}`) === undefined ? "" : (imported?.addresses[0] ?? "");
      const hasService =
        clusterId === undefined
          ? inputs.services.get(factsKey(facts)) !== undefined
          : inputs.remote.services.get(remoteKey(clusterId, factsKey(facts))) !== undefined;
      const discoverability = {
        ...(hasService
          ? { [hostnameOf(facts, mesh.domain)]: settings?.clusterLocal === true ? sameCluster : everyCluster }
          : {}),
        ...(vip === "" ? {} : { [host]: everyCluster }),
      };
      return {
        Cluster: clusterId ?? home,
        Name: name,
        Namespace: namespace,
        Exported: isExported,
        Imported: imported !== undefined,
        ClusterSetVIP: vip,
        Discoverability: isExported ? discoverability : null,
      };
    })
    .filter((form) => form.Exported || form.Imported)
    .sort(
      (left, right) =>
        compareText(left.Cluster, right.Cluster) ||
        compareText(left.Namespace, right.Namespace) ||
        compareText(left.Name, right.Name),
    );
}
