import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { CollectionStats, Informer } from "../../kube/index.ts";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import type { NetworkGatewaysModel } from "../model/network-gateways.ts";
import type { ServiceEndpoints } from "../model/service/service-endpoints.ts";
import type { ServiceRegistry } from "../model/service/service-model.ts";
import type { OutboundScope } from "../model/index.ts";
import type { DiscoveryServer, ProxyIdentity } from "../serve/index.ts";
import type { AmbientResources } from "../translate/index.ts";
import type { MultiClusterServiceForm } from "./multi-cluster-answer.ts";

export interface InspectionSources {
  readonly discovery: DiscoveryServer;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly networkGateways: NetworkGatewaysModel;
  /** Ztunnels' resources. The first request derives them. */
  readonly ambient: () => AmbientResources;
  /** Kinds of configuration, with all their objects as last seen. */
  readonly configuration: () => readonly {
    readonly kind: ConfiguredKind;
    readonly informer: Pick<Informer<KubernetesObject>, "list">;
  }[];
  readonly rootNamespace: () => string;
  readonly isClusterLocal: (hostname: string) => boolean;
  readonly multiCluster: () => readonly MultiClusterServiceForm[];
  readonly meshConfig: () => unknown;
  readonly types: () => EnvoyTypes;
  /** The scope of a proxy's outbound traffic. Undefined for a proxy that has none. */
  readonly outboundScopeOf: (proxy: ProxyIdentity) => OutboundScope | undefined;
  readonly collections: () => readonly { readonly name: string; readonly stats: CollectionStats }[];
}

export type ConfiguredKind = Pick<KindDefinition, "group" | "versions" | "kind">;
