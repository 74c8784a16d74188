// The data path of a gateway for benches. There is no control plane, because the bench applies the configuration
// itself.
import { randomFillSync } from "node:crypto";
import { fromJson, toBinary, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import { silentLogger, systemClock, systemRandom } from "../src/base/index.ts";
import { connectTcp, listenTcp } from "../src/net/index.ts";
import { AppliedConfig } from "../src/proxy/applied-config.ts";
import type { FilterServices } from "../src/proxy/filters/filter-services.ts";
import { ListenerSet } from "../src/proxy/listener-set.ts";
import { ConnectionObserver } from "../src/proxy/observe/connection-observer.ts";
import { IstioMetrics } from "../src/proxy/observe/istio-metrics.ts";
import { randomUuids } from "../src/proxy/terms/random-id.ts";
import { unknownWorkload } from "../src/proxy/terms/workload-labels.ts";
import { SecretStore } from "../src/proxy/tls/secret-store.ts";
import { TlsContexts } from "../src/proxy/tls/tls-contexts.ts";
import { clusterCaller } from "../src/proxy/upstream/cluster-call.ts";
import { AccessLog, fileSink, type MetricsRegistry } from "../src/telemetry/index.ts";
import { envoyRegistry } from "../src/wire/envoy/index.ts";

export interface BenchGateway {
  /** Applies one resource, as if a control plane had sent it. */
  readonly apply: <Schema extends DescMessage>(typeUrl: string, schema: Schema, name: string, json: JsonValue) => void;
  /** Resolves with the port of the first listener when all listeners accept connections. */
  readonly port: () => Promise<number>;
}

/**
 * Starts a gateway. It counts into the registry, logs to /dev/null, and does not use TLS. `servicesOf` returns the
 * services of its filters.
 */
export function benchGateway(
  registry: MetricsRegistry,
  servicesOf?: (callCluster: ReturnType<typeof clusterCaller>) => FilterServices,
): BenchGateway {
  const connector = {
    connect: (endpoint: { address: string; port: number }, timeoutMs: number) =>
      connectTcp({ address: endpoint.address, port: endpoint.port, timeoutMs }),
  };
  const services = servicesOf?.(clusterCaller((name) => config.cluster(name)));
  const config: AppliedConfig = new AppliedConfig({
    runtime: { connector, clock: systemClock, random: systemRandom },
    resolve: () => Promise.resolve({ addresses: [] }),
    ...(services === undefined ? {} : { services }),
    clock: systemClock,
    log: silentLogger,
  });
  const observer = observerOf(registry);
  const listeners = new ListenerSet({
    maxConnections: Infinity,
    listen: listenTcp,
    contexts: new TlsContexts(noSecrets()),
    localIdentity: "",
    leavingLimitMs: 45_000,
    lingerMs: 0,
    startNeeds: () => config.startNeeds(),
    replaced: () => config.followListeners(),
    observeRefused: () => undefined,
    clock: systemClock,
    log: silentLogger,
    chains: {
      routeTable: (name) => config.routeTable(name),
      cluster: (name) => config.cluster(name),
      connector,
      clock: systemClock,
      random: systemRandom,
      newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
      ownMetadata: () => ({ id: "", value: "" }),
      onTrouble: () => undefined,
      observeHttp: (listener, _chain, http, record) => observer.exchange(listener, http, record),
      observeStream: (listener, http, record) => observer.stream(listener, http, record),
      observeTcp: (listener, chain) => observer.tcp(listener, chain),
      observeTunnel: () => undefined,
      onCutOff: () => undefined,
    },
  });
  config.attach(listeners);
  setInterval(() => listeners.sweep(), 1000);
  return {
    apply: (typeUrl, schema, name, json) => {
      const body = toBinary(schema, fromJson(schema, json, { registry: envoyRegistry() }));
      const resources = [{ name, version: "1", aliases: [], typeUrl, body }];
      const subscription = config.subscriptions().find((candidate) => candidate.typeUrl === typeUrl);
      void subscription?.apply({ typeUrl, resources, removed: [] });
    },
    port: async () => {
      while (listeners.pending().length > 0) await systemClock.sleep(5);
      const [first] = listeners.listeners();
      return first?.addresses[0]?.port ?? 0;
    },
  };
}

function observerOf(registry: MetricsRegistry): ConnectionObserver {
  const metrics = new IstioMetrics(registry, {
    ...unknownWorkload,
    principal: "unknown",
    app: "gateway",
    version: "v1",
  });
  const log = new AccessLog({ sink: fileSink("/dev/null"), clock: systemClock });
  return new ConnectionObserver({ role: "router", metrics, registry, accessLog: () => log, clock: systemClock });
}

function noSecrets(): SecretStore {
  return new SecretStore({
    certificates: {
      peek: () => undefined,
      fetch: () => Promise.reject(new Error("plain text alone is measured")),
    },
    identity: "",
    readFile: () => Promise.reject(new Error("no files")),
    clock: systemClock,
    log: silentLogger,
  });
}
