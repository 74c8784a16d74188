import type { CollectionReader } from "../../../kube/index.ts";
import type { MeshSettings } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { remoteKey } from "../remote-inputs.ts";
import type { Discoverability } from "./service-endpoint-model.ts";

interface Discovery {
  readonly mesh: MeshSettings;
  readonly inputs: MeshInputs;
  readonly reader: CollectionReader;
}

/**
 * Which clients discover the endpoints that a cluster has for a service's host in the clusters' own domain. `service`
 * is `namespace/name`. Without `clusterId`, the cluster is the control plane's own. Undefined if the mesh does not use
 * multi-cluster services.
 */
export function discoverability(
  service: string,
  clusterId: string | undefined,
  { mesh, inputs, reader }: Discovery,
): Discoverability | undefined {
  const { multiClusterServices } = mesh;
  if (multiClusterServices === undefined) return undefined;
  if (multiClusterServices.clusterLocal) return "cluster";
  return reader.get(inputs.serviceExports, keyIn(clusterId, service)) === undefined ? "cluster" : "mesh";
}

/**
 * Which clients discover the endpoints that a cluster has for a service's host in `clusterset.local`. Other clusters
 * discover them only if the cluster both exports and imports the service. As in upstream, a cluster that does not
 * import the host does not know it, and so offers no endpoints for it.
 */
export function importedDiscoverability(
  service: string,
  clusterId: string | undefined,
  { inputs, reader }: Discovery,
): Discoverability {
  const key = keyIn(clusterId, service);
  const imported = reader.get(inputs.serviceImports, key);
  return imported !== undefined && imported.addresses.length > 0 && reader.get(inputs.serviceExports, key) !== undefined
    ? "mesh"
    : "cluster";
}

function keyIn(clusterId: string | undefined, service: string): string {
  return clusterId === undefined ? service : remoteKey(clusterId, service);
}
