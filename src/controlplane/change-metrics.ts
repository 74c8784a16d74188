import type { Collection } from "../kube/index.ts";
import type { Counter, MetricFamily, MetricsRegistry } from "../telemetry/index.ts";
import type { MeshInputs } from "./model/index.ts";

type Registered = "Services" | "EndpointSlice" | "Pods" | "Nodes";
type Reason = "service" | "endpoint" | "proxy" | "config" | "global" | "namespace" | "secret";

const events = { added: "add", updated: "update", deleted: "delete" } as const;

/**
 * Counts changes in a mesh under upstream's metrics. A change that leaves an object's facts unchanged is not counted.
 */
export function countChanges(inputs: MeshInputs, metrics: MetricsRegistry): void {
  const registered = metrics.counter(
    "pilot_k8s_reg_events",
    "Services, endpoints, pods and nodes that were added, changed or removed.",
    ["type", "event"],
  );
  const configured = metrics.counter(
    "pilot_k8s_cfg_events",
    "Objects of configuration that were added, changed or removed.",
    ["type", "event"],
  );
  const triggers = metrics.counter("pilot_push_triggers", "Changes that may affect proxies, by reason.", ["type"]);
  const count = (
    collection: Collection<unknown>,
    reason: Reason,
    counter?: { readonly labelled: typeof registered; readonly type: string },
  ): void => {
    const triggered = heldHandle(triggers, reason);
    const counted = counter === undefined ? undefined : eventCounters(counter.labelled, counter.type);
    collection.onChange((changes) => {
      triggered().add(changes.length);
      if (counted === undefined) return;
      for (const change of changes)
        counted[
          change.type === "delete" ? "deleted" : change.previous === undefined ? "added" : "updated"
        ]().increment();
    });
  };
  const register = (collection: Collection<unknown>, reason: Reason, type: Registered): void =>
    count(collection, reason, { labelled: registered, type });
  const configure = (collections: Readonly<Record<string, Collection<unknown>>>): void => {
    for (const [type, collection] of Object.entries(collections))
      count(collection, "config", { labelled: configured, type });
  };
  for (const { services, slices, pods, nodes } of [inputs, inputs.remote]) {
    register(services, "service", "Services");
    register(slices, "endpoint", "EndpointSlice");
    register(pods, "proxy", "Pods");
    register(nodes, "proxy", "Nodes");
  }
  count(inputs.namespaces, "namespace");
  count(inputs.mesh, "global");
  count(inputs.secrets, "secret");
  configure({
    AuthorizationPolicy: inputs.authorizationPolicies,
    DestinationRule: inputs.destinationRules,
    EnvoyFilter: inputs.extensions.envoyFilters,
    Gateway: inputs.istioGateways,
    GRPCRoute: inputs.grpcRoutes,
    HTTPRoute: inputs.httpRoutes,
    KubernetesGateway: inputs.gateways,
    PeerAuthentication: inputs.peerAuthentications,
    ProxyConfig: inputs.extensions.proxyConfigs,
    ReferenceGrant: inputs.referenceGrants,
    RequestAuthentication: inputs.requestAuthentications,
    ServiceEntry: inputs.serviceEntries,
    Sidecar: inputs.sidecars,
    TCPRoute: inputs.tcpRoutes,
    Telemetry: inputs.telemetries,
    TLSRoute: inputs.tlsRoutes,
    TrafficExtension: inputs.extensions.trafficExtensions,
    VirtualService: inputs.virtualServices,
    WasmPlugin: inputs.extensions.wasmPlugins,
    WorkloadEntry: inputs.workloadEntries,
  });
}

function eventCounters(
  family: MetricFamily<Counter>,
  type: string,
): Readonly<Record<keyof typeof events, () => Counter>> {
  return {
    added: heldHandle(family, type, events.added),
    updated: heldHandle(family, type, events.updated),
    deleted: heldHandle(family, type, events.deleted),
  };
}

/** The first call of the result creates the counter, so that a metric that was never counted is not shown. */
function heldHandle(family: MetricFamily<Counter>, ...values: readonly string[]): () => Counter {
  let handle: Counter | undefined;
  return () => (handle ??= family.labels(...values));
}
