import type { MeshModel } from "../mesh-model.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import type { Labels, MeshSettings } from "../../model/facts.ts";
import type { GatewayServerModel, MergedGateway } from "../../model/gateway/classic-gateway.ts";
import type { ServedVirtualService } from "../../model/gateway/server-routes.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import type { SecurityFilters } from "../security/security-filters.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";

export interface ClassicGatewayContext {
  readonly model: MeshModel;
  readonly merged: MergedGateway;
  /** The VirtualServices that have routes at a server, in the order in which they apply. */
  readonly virtualServicesAt: (server: GatewayServerModel) => readonly ServedVirtualService[];
  readonly mesh: MeshSettings;
  readonly namespace: string;
  readonly labels: Labels;
  readonly place: Pick<ProxyGroup, "network" | "clusterId" | "networkView">;
  readonly security: SecurityFilters;
  readonly telemetry: ProxyTelemetry;
  /** The service of the mesh's SDS provider. Undefined if there is no provider, or its service is unknown. */
  readonly secretService: ProviderCluster | undefined;
  readonly reader: CollectionReader;
}
