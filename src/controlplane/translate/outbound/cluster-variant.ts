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
  readonly service: string;
  readonly port: number;
  readonly subset: string | undefined;
  /** The client whose DestinationRules apply, or one that stands for all clients of the shared cluster. */
  readonly client: RuleClient;
  readonly isSidecar: boolean;
  /** Whether the cluster speaks HTTP/1 and preserves the case of header names. */
  readonly keepsHeaderCase: boolean;
}

export interface ResolvedVariant {
  readonly mesh: MeshSettings;
  readonly service: ServiceModel;
  readonly rule: DestinationRuleModel | undefined;
}

/** Does not read endpoints, so that their changes do not affect clusters. */
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
