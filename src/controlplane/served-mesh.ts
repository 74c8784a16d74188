import { setImmediate } from "node:timers/promises";
import type { SecretAccess } from "./ca/index.ts";
import { describeError, type Clock, type Logger } from "../base/index.ts";
import {
  CollectionGraph,
  structurallyEqual,
  type Collection,
  type CollectionStats,
  type SourceCollection,
} from "../kube/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import {
  createMeshInputs,
  deriveAmbientStatuses,
  deriveBackendTlsStatuses,
  deriveConfigMapReferences,
  deriveGatewayPlacements,
  deriveGatewayStatuses,
  deriveIngresses,
  deriveLimitReports,
  deriveListenerSetStatuses,
  derivePullSecretReferences,
  deriveRouteStatuses,
  deriveSecretReferences,
  deriveUdpRouteStatuses,
  WaypointBindings,
  type ConfigMapReference,
  type AmbientStatuses,
  type GatewayPlacement,
  type LimitReports,
  type MeshInputs,
  type PullSecretReference,
  type NetworkGateways,
  type PodFacts,
  type OutboundScope,
  type SecretReference,
  type WantedGatewayStatus,
  type WantedIngressStatus,
  type WantedListenerSetStatus,
  type WantedPolicyStatus,
  type WantedRouteStatuses,
} from "./model/index.ts";
import { memos } from "./model/memos.ts";
import { countChanges } from "./change-metrics.ts";
import { SettlingTurns } from "./settling-turns.ts";
import {
  createDiscoveryMetrics,
  DiscoveryServer,
  type DebugAnswerer,
  type ProxyIdentity,
  type WorkloadProxies,
} from "./serve/index.ts";
import {
  deriveClassicGatewayResources,
  deriveInboundResources,
  deriveMachineInboundResources,
  deriveRemoteInboundResources,
  deriveMeshModel,
  deriveOutboundResources,
  deriveRouterResources,
  deriveWaypointResources,
  type AmbientResources,
  type EncodedResource,
  type MeshModel,
} from "./translate/index.ts";
import {
  ProxyScopes,
  ProxyViews,
  secretPermission,
  ServedAmbient,
  servedExtensions,
  type SecretPermission,
} from "./views/index.ts";

export interface ServedMeshOptions {
  readonly revision: string;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when a settling begins. It includes all writes so far. */
  readonly settling?: () => void;
  /** Called when everything that pending writes affect has been computed, before proxies are notified. */
  readonly settled: (generation: number) => void;
  /**
   * The maximum time of one turn of the event loop. A change that takes longer is computed in several turns. If
   * infinite, there is always a single turn.
   */
  readonly maxTurnMs?: number | undefined;
  readonly workloads?: WorkloadProxies<ProxyIdentity> | undefined;
  readonly debug?: DebugAnswerer | undefined;
  /** Checks who may list Secrets. Absent in a shadow control plane (`--shadow`), whose proxies do not authenticate. */
  readonly secretAccess?: SecretAccess | undefined;
}

/** Objects that controllers write, in the form of the model. */
export interface WantedState {
  readonly placements: Collection<GatewayPlacement>;
  readonly gatewayStatuses: Collection<WantedGatewayStatus>;
  readonly listenerSetStatuses: Collection<WantedListenerSetStatus>;
  readonly policyStatuses: Collection<WantedPolicyStatus>;
  readonly routeStatuses: readonly WantedRouteStatuses[];
  readonly ambientStatuses: AmbientStatuses;
  readonly ingressStatuses: Collection<WantedIngressStatus>;
}

const debounceBounds = [0.01, 0.1, 1, 5, 10, 20, 30, 50, 100];
/** How long the mesh waits for further writes before it settles, so that writes in quick succession settle together. */
const debounceMs = 2;
/**
 * The default length of a turn. It is far below the timeout of a probe, and far above the time that nearly all changes
 * take.
 */
const defaultTurnMs = 50;

/**
 * Derives the configuration of proxies from the facts of a mesh, through model, translation and discovery, without any
 * network access.
 */
export class ServedMesh {
  readonly graph: CollectionGraph;
  readonly inputs: MeshInputs;
  readonly discovery: DiscoveryServer;
  readonly wanted: WantedState;
  readonly limits: LimitReports;
  readonly references: readonly Collection<SecretReference>[];
  /** Network gateways, including those with names instead of addresses. */
  readonly networkGateways: Collection<NetworkGateways>;
  readonly pullSecrets: readonly Collection<PullSecretReference>[];
  readonly configMaps: readonly Collection<ConfigMapReference>[];
  /** What debug pages show of the model: services, endpoints, networks, the scopes of proxies, and all collections. */
  readonly model: Pick<MeshModel, "registry" | "endpoints" | "networkGateways"> & {
    readonly outboundScopeOf: (proxy: ProxyIdentity) => OutboundScope | undefined;
    readonly collections: () => readonly { readonly name: string; readonly stats: CollectionStats }[];
  };
  readonly ambient: () => AmbientResources;
  /** The roots that proxies get over xDS, under the resource's name. If empty, proxies get none. */
  readonly trustBundles: SourceCollection<EncodedResource>;
  readonly #turns: SettlingTurns;
  #generation = 0;
  #isFlushing = false;

  constructor(options: ServedMeshOptions) {
    const { revision, metrics, clock, log, secretAccess } = options;
    const graph = this.#createGraph(options);
    const inputs = createMeshInputs(graph);
    this.graph = graph;
    this.inputs = inputs;
    this.trustBundles = graph.source("trust-bundles");
    countChanges(inputs, metrics);
    const model = deriveMeshModel(graph, inputs);
    const connectedPods = graph.source<true>("connected-pods");
    const machines = {
      own: graph.source<PodFacts>("machines", structurallyEqual),
      remote: graph.source<PodFacts>("remote-machines", structurallyEqual),
    };
    const settle = (): void => graph.settle();
    const scopes = new ProxyScopes({ inputs, scopes: model.scopes, connectedPods, machines, settle, clock });
    this.model = {
      ...model,
      outboundScopeOf: (proxy) => scopes.outboundScopeOf(proxy),
      collections: () => graph.collections,
    };
    const classic = deriveClassicGatewayResources(graph, model);
    const references = deriveSecretReferences(graph, {
      inputs,
      groups: model.scopes.groups,
      mergedGateways: classic.merged,
    });
    const ambient = new ServedAmbient(graph, inputs, model.waypoints);
    const waypoint = deriveWaypointResources(graph, model);
    const outbound = deriveOutboundResources(graph, model);
    this.limits = deriveLimitReports(graph, {
      ...model,
      withheldPorts: outbound.withheldPorts,
      withheldServers: classic.withheldServers,
    });
    const views = new ProxyViews(scopes, {
      ambient: () => ambient.resources(),
      outbound,
      inbound: deriveInboundResources(graph, model, connectedPods),
      remoteInbound: deriveRemoteInboundResources(graph, model, connectedPods),
      machineInbound: deriveMachineInboundResources(graph, model, machines),
      router: deriveRouterResources(graph, { ...model, groups: model.scopes.groups }),
      classic,
      trustBundles: this.trustBundles,
      waypoint,
      secrets: { secrets: inputs.secrets, references, configMaps: inputs.configMaps },
      secretPermission:
        secretAccess === undefined ? undefined : this.#flushing(secretPermission(inputs, references, secretAccess)),
      extensions: servedExtensions(inputs, waypoint, metrics, log.scoped("extensions")),
    });
    this.ambient = () => ambient.resources();
    this.references = references;
    this.pullSecrets = derivePullSecretReferences(graph, inputs.extensions);
    this.networkGateways = model.networkGateways.unresolved;
    this.configMaps = deriveConfigMapReferences(graph, inputs);
    this.wanted = deriveWantedState(graph, model, revision);
    this.discovery = this.#createDiscovery(options, scopes, views);
    this.#turns = new SettlingTurns({
      graph,
      discovery: this.discovery,
      turnMs: options.maxTurnMs ?? defaultTurnMs,
      nextTurn: () => setImmediate(),
    });
  }

  /** The graph settles when there were no writes for {@link debounceMs}, and then the streams get the result. */
  #createGraph({ metrics, clock, log, settling, settled }: ServedMeshOptions): CollectionGraph {
    const debounced = metrics
      .histogram(
        "pilot_debounce_time",
        "Seconds from the first change until it is applied, together with later changes.",
        [],
        debounceBounds,
      )
      .labels();
    const services = metrics.gauge("pilot_services", "Services that this control plane knows.", []).labels();
    return new CollectionGraph({
      schedule: () => {
        const startedMs = clock.steadyMs();
        void clock.after(debounceMs, () => {
          debounced.observe((clock.steadyMs() - startedMs) / 1000);
          this.#turns.settleAndSend();
          const { kubernetes, imported, entries } = this.model.registry;
          services.set(kubernetes.size + imported.size + entries.size);
        });
      },
      memos,
      begun: () => settling?.(),
      computed: () => {
        this.#generation += 1;
        settled(this.#generation);
      },
      failed: (collection, key, error) =>
        log.error("an item could not be computed and keeps its previous value", {
          collection,
          key,
          error: describeError(error),
        }),
      subscriberFailed: (collection, error) =>
        log.error("a subscriber could not apply a change", { collection, error: describeError(error) }),
    });
  }

  #createDiscovery(
    { workloads, debug, metrics, clock, log }: ServedMeshOptions,
    scopes: ProxyScopes,
    views: ProxyViews,
  ): DiscoveryServer {
    const { graph } = this;
    return new DiscoveryServer({
      viewOf: (proxy, typeUrl) => views.viewOf(proxy, typeUrl),
      generation: () => this.#generation,
      turns: {
        isSettling: () => graph.isSettling,
        settle: () => graph.settle(),
        expect: (proxy) => {
          scopes.expect(proxy);
          return this.#turns.settle();
        },
      },
      workloads,
      debug,
      metrics: createDiscoveryMetrics(metrics),
      clock,
      log: log.scoped("ads"),
    });
  }

  /**
   * Flushes the streams that wait for this permission, because an answer of the API server does not change the model.
   */
  #flushing(permission: SecretPermission): SecretPermission {
    return (account, resource, learned) =>
      permission(account, resource, (allowed) => {
        learned(allowed);
        if (this.#isFlushing) return;
        this.#isFlushing = true;
        queueMicrotask(() => {
          this.#isFlushing = false;
          this.discovery.flush();
        });
      });
  }
}

function deriveWantedState(graph: CollectionGraph, model: MeshModel, revision: string): WantedState {
  const { inputs, waypoints, routes, l4Routes } = model;
  const [httpRoutes, grpcRoutes] = routes;
  const [tlsRoutes, tcpRoutes] = l4Routes;
  const allRoutes = [...routes, ...l4Routes];
  const statusSources = { inputs, routes: allRoutes, waypoints, revision };
  return {
    ingressStatuses: deriveIngresses(graph, inputs),
    ambientStatuses: deriveAmbientStatuses(graph, {
      inputs,
      waypoints,
      bindings: new WaypointBindings(inputs, waypoints),
      registry: model.registry,
    }),
    placements: deriveGatewayPlacements(graph, inputs, waypoints, revision),
    gatewayStatuses: deriveGatewayStatuses(graph, statusSources),
    listenerSetStatuses: deriveListenerSetStatuses(graph, statusSources),
    policyStatuses: deriveBackendTlsStatuses(
      graph,
      inputs,
      model.destinationRules.backendTlsTargets,
      allRoutes,
      revision,
    ),
    routeStatuses: [
      { kind: "HTTPRoute", statuses: deriveRouteStatuses(graph, inputs, "HTTPRoute", httpRoutes, revision) },
      { kind: "GRPCRoute", statuses: deriveRouteStatuses(graph, inputs, "GRPCRoute", grpcRoutes, revision) },
      { kind: "TLSRoute", statuses: deriveRouteStatuses(graph, inputs, "TLSRoute", tlsRoutes, revision) },
      { kind: "TCPRoute", statuses: deriveRouteStatuses(graph, inputs, "TCPRoute", tcpRoutes, revision) },
      { kind: "UDPRoute", statuses: deriveUdpRouteStatuses(graph, inputs, revision) },
    ],
  };
}
