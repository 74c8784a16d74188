import type { CollectionReader } from "../../kube/index.ts";
import { isGlobalService } from "../model/ambient-networks.ts";
import { localNetwork } from "../model/cluster-view.ts";
import type { MeshSettings } from "../model/facts.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import type { EndpointModel } from "../model/service-endpoint-model.ts";
import type { ServiceModel } from "../model/service-model.ts";

/** The endpoints that a waypoint reaches by itself: those of its own network, and of other clusters only where the service is global. */
export function nearEndpoints(endpoints: readonly EndpointModel[], service: ServiceModel, mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader): readonly EndpointModel[] {
  if (endpoints.every(({ network, clusterId }) => network === "" && clusterId === mesh.clusterId)) return endpoints;
  const network = localNetwork(mesh, inputs, reader);
  const everywhere = mesh.ambientMultiNetwork !== true || service.registry !== "Kubernetes" || isGlobalService(service, reader.get(inputs.namespaces, service.namespace)?.labels, mesh);
  return endpoints.filter((endpoint) => (endpoint.network === "" || network === "" || endpoint.network === network) && (everywhere || endpoint.clusterId === mesh.clusterId));
}
