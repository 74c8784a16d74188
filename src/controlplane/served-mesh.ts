import { describeError, type Clock, type Logger } from "../base/index.ts";
import { CollectionGraph, type Collection } from "../kube/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import {
  createMeshInputs,
  deriveGatewayPlacements,
  deriveGatewayStatuses,
  deriveL4RouteModels,
  deriveRouteStatuses,
  deriveSecretReferences,
  type GatewayPlacement,
  type MeshInputs,
  deriveUdpRouteStatuses,
  type ConfigMapReference,
  type AmbientStatuses,
  type SecretReference,
  type WantedGatewayStatus,
  type WantedRouteStatus,
} from "./model/index.ts";
import { ProxyScopes } from "./proxy-scopes.ts";
import { ProxyViews } from "./proxy-views.ts";
import { createDiscoveryMetrics, DiscoveryServer } from "./serve/index.ts";
import { deriveAmbientResources, deriveClassicGatewayResources, deriveInboundResources, deriveMeshModel, deriveOutboundResources, deriveRouterResources, deriveWaypointResources } from "./translate/index.ts";

export interface ServedMeshOptions {
  readonly revision: string;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called whenever all that pending writes touch has been computed, before proxies are told. */
  readonly settled: (generation: number) => void;
}

/** What controllers write, as the model wants it. */
export interface WantedState {
  readonly placements: Collection<GatewayPlacement>;
  readonly gatewayStatuses: Collection<WantedGatewayStatus>;
  readonly routeStatuses: readonly Collection<WantedRouteStatus>[];
}

/** Writes that come within this time settle together. */
const debounceMs = 2;

/** From the facts of a mesh to what its proxies are sent: model, translation and discovery, without any network. */
  readonly ambientStatuses: AmbientStatuses;
export class ServedMesh {
  readonly graph: CollectionGraph;
  readonly inputs: MeshInputs;
  readonly discovery: DiscoveryServer;
  readonly wanted: WantedState;
  /** Secrets that configuration names. */
  readonly references: readonly Collection<SecretReference>[];
  #generation = 0;

  constructor({ revision, metrics, clock, log, settled }: ServedMeshOptions) {
    const graph = new CollectionGraph({
      schedule: (settle) => void clock.after(debounceMs, () => this.#settle(settle)),
      computed: () => {
        this.#generation += 1;
        settled(this.#generation);
      },
      failed: (collection, key, error) => log.error("an item could not be computed and stays as it was", { collection, key, error: describeError(error) }),
    });
    const inputs = createMeshInputs(graph);
    const l4Routes = deriveL4RouteModels(graph, inputs);
    const [tlsRoutes, tcpRoutes] = l4Routes;
    const model = deriveMeshModel(graph, inputs);
    const { waypoints, routes } = model;
    const [httpRoutes, grpcRoutes] = routes;
    const scopes = new ProxyScopes({ inputs, scopes: model.scopes, settle: () => graph.settle(), clock });
    const classic = deriveClassicGatewayResources(graph, model);
    const references = deriveSecretReferences(graph, { inputs, groups: model.scopes.groups, mergedGateways: classic.merged });
    const views = new ProxyViews(scopes, {
      ambient,
      outbound: deriveOutboundResources(graph, model),
      inbound: deriveInboundResources(graph, model),
      router: deriveRouterResources(graph, { inputs, routes, l4Routes }),
      classic,
      waypoint: deriveWaypointResources(graph, model),
    const ambient = deriveAmbientResources(graph, inputs, waypoints);
      secrets: { secrets: inputs.secrets, references },
    });
    this.graph = graph;
    this.inputs = inputs;
    this.references = references;
    this.wanted = {
      placements: deriveGatewayPlacements(graph, inputs, waypoints, revision),
      gatewayStatuses: deriveGatewayStatuses(graph, inputs, [...routes, ...l4Routes], waypoints, revision),
      routeStatuses: [
        deriveRouteStatuses(graph, inputs, "HTTPRoute", httpRoutes, revision),
        deriveRouteStatuses(graph, inputs, "GRPCRoute", grpcRoutes, revision),
        deriveRouteStatuses(graph, inputs, "TLSRoute", tlsRoutes, revision),
        deriveRouteStatuses(graph, inputs, "TCPRoute", tcpRoutes, revision),
      ],
    };
      ambientStatuses: ambient.statuses,
    this.discovery = new DiscoveryServer({
      viewOf: (proxy, typeUrl) => views.viewOf(proxy, typeUrl),
      generation: () => this.#generation,
      metrics: createDiscoveryMetrics(metrics),
      clock,
      log: log.scoped("ads"),
    });
  }

  #settle(settle: () => void): void {
    settle();
    this.discovery.flush();
  }
}
