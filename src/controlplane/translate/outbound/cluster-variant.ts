import type { CollectionReader } from "../../../kube/index.ts";
import type { Waypoints } from "../../model/ambient/waypoint.ts";
import {
  destinationRuleFor,
  type DestinationRuleModel,
  type DestinationRules,
  type RuleClient,
} from "../../model/destination-rule-model.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import type { NetworkGatewaysModel } from "../../model/network-gateways.ts";
import type { ServiceEndpoints } from "../../model/service/service-endpoints.ts";
import { registeredService, type ServiceModel, type ServiceRegistry } from "../../model/service/service-model.ts";
import type { ClientPlace } from "./outbound-client.ts";

/** The inputs for the clusters of scopes. Scopes with equal views share clusters. */
export interface ClusterSources {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly destinationRules: DestinationRules;
  readonly waypoints: Waypoints;
  readonly networkGateways: NetworkGatewaysModel;
}

/** One cluster as seen by one scope. Equal variants share one resource. */
export interface ClusterVariant extends ClientPlace {
  readonly name: string;
  readonly registry: ServiceModel["registry"];
  /** The service's key. */
  readonly service: string;
  readonly port: number;
  readonly subset: string | undefined;
  /** The client whose DestinationRules apply, or the one that represents all clients that share the cluster. */
  readonly client: RuleClient;
  readonly isSidecar: boolean;
  /** Whether the cluster speaks HTTP/1 and keeps the case of headers. */
  readonly keepsHeaderCase: boolean;
}

/** The objects that a variant names. */
export interface ResolvedVariant {
  readonly mesh: MeshSettings;
  readonly service: ServiceModel;
  readonly rule: DestinationRuleModel | undefined;
}

/** Reads the objects that a variant names. Endpoints are left out, so that their changes do not affect the clusters. */
export function resolvedVariant(
  variant: ClusterVariant,
  sources: ClusterSources,
  reader: CollectionReader,
): ResolvedVariant | undefined {
  const mesh = reader.get(sources.inputs.mesh, meshKey);
  const service = registeredService({ registry: variant.registry, key: variant.service }, sources.registry, reader);
  if (mesh === undefined || service === undefined) return undefined;
  return { mesh, service, rule: destinationRuleFor(service, variant.client, mesh, sources.destinationRules, reader) };
}
