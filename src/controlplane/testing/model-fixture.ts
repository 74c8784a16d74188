import { keyOf, type KubernetesObject, serviceNameLabel } from "../../api/index.ts";
import { defaultMultiClusterApi } from "../../api/multicluster/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { createFeeds } from "../ingest/feeds.ts";
import { multiClusterKinds } from "../ingest/multi-cluster-feeds.ts";
import { meshKey, type MeshSettings } from "../model/facts.ts";
import { createMeshInputs, type MeshInputs } from "../model/mesh-inputs.ts";

export const testMesh: MeshSettings = {
  trustDomain: "cluster.local",
  rootNamespace: "istio-system",
  clusterId: "Kubernetes",
  network: "",
  domain: "cluster.local",
  connectTimeoutMs: 10_000,
  enableAutoMtls: true,
  outboundTrafficPolicy: "ALLOW_ANY",
  defaultServiceExportTo: ["*"],
  defaultVirtualServiceExportTo: ["*"],
  defaultDestinationRuleExportTo: ["*"],
  h2UpgradePolicy: "DO_NOT_UPGRADE",
  dnsRefreshRateMs: 60_000,
  protocolDetectionTimeoutMs: 0,
  accessLogFile: "",
  accessLogFormat: "",
  accessLogEncoding: "TEXT",
  trustDomainAliases: [],
  trustedDomains: [],
  extensionProviders: [],
  defaultAccessLogProviders: [],
  defaultMetricsProviders: ["prometheus"],
  defaultTracingProviders: [],
  disableEnvoyListenerLog: false,
  enableTracing: true,
  meshId: "",
  traceSamplingPercent: 1,
  tracingServiceName: "APP_LABEL_AND_NAMESPACE",
  meshMutualTls: { minProtocolVersion: "TLSV1_2", cipherSuites: [] },
  tlsDefaults: { minProtocolVersion: "TLSV1_2", cipherSuites: [], ecdhCurves: [] },
  proxyInboundListenPort: 15_006,
  inboundTrafficPolicy: "PASSTHROUGH",
  gatewayTopology: { numTrustedProxies: 0, forwardClientCertDetails: "UNDEFINED", proxyProtocol: false },
  proxyMetadata: {},
  proxyHeaders: {
    forwardedClientCert: "UNDEFINED",
    requestIdDisabled: false,
    serverDisabled: false,
    attemptCountDisabled: false,
    envoyDebugHeadersDisabled: false,
    metadataExchangeInMeshOnly: false,
    xForwardedHost: false,
    xForwardedPort: false,
    preserveHttp1HeaderCase: false,
  },
  proxyListenPort: 15_001,
  localityLbSetting: { enabled: true, distribute: [], failover: [], failoverPriority: [] },
  defaultTrafficPolicy: {},
  serviceSettings: [],
  serviceScopeConfigs: [],
  networks: {},
  pathNormalization: "DEFAULT",
};

export const testMultiClusterKinds = multiClusterKinds({
  api: defaultMultiClusterApi,
  discovery: true,
  host: true,
  autoExport: false,
});

export interface ModelFixture {
  readonly graph: CollectionGraph;
  readonly inputs: MeshInputs;
  /** Adds objects in an API server's form, and lets the model settle. */
  readonly apply: (...objects: readonly KubernetesObject[]) => void;
  readonly remove: (...objects: readonly KubernetesObject[]) => void;
}

export function createModelFixture(revision = "default"): ModelFixture {
  const graph = new CollectionGraph();
  const inputs = createMeshInputs(graph);
  const feeds = createFeeds(inputs, revision, undefined, { kinds: testMultiClusterKinds, warned: () => undefined });
  inputs.mesh.set(meshKey, testMesh);
  const take = takeBy(feeds);
  return {
    graph,
    inputs,
    apply: (...objects) => graph.batch(() => objects.forEach((object) => take(object, object))),
    remove: (...objects) => graph.batch(() => objects.forEach((object) => take(object, undefined))),
  };
}

/**
 * Gives objects to the feed of their kind: the present object, or undefined if it is gone. Two groups have a kind
 * Gateway. An object without an apiVersion belongs to the first group with its kind.
 */
export function takeBy(
  feeds: ReturnType<typeof createFeeds>,
): (object: KubernetesObject, present: KubernetesObject | undefined) => void {
  return (object, present) => {
    const group = object.apiVersion?.includes("/") === true ? object.apiVersion.split("/")[0] : undefined;
    const feed = feeds.find(({ kind }) => kind.kind === object.kind && (group === undefined || kind.group === group));
    if (feed === undefined) throw new Error(`the model does not read ${object.kind ?? "an object without a kind"}`);
    feed.take(keyOf(object), present);
  };
}

interface PodOptions {
  readonly labels?: Record<string, string>;
  readonly node?: string;
  readonly account?: string;
  readonly redirected?: boolean;
  readonly ready?: boolean;
}

export function namespace(name: string, labels: Record<string, string> = {}): KubernetesObject {
  return { kind: "Namespace", metadata: { name, labels } };
}

export function node(name: string, zone: string): KubernetesObject {
  return {
    kind: "Node",
    metadata: { name, labels: { "topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": zone } },
  };
}

export function pod(key: string, address: string, options: PodOptions = {}): KubernetesObject {
  const [namespaceName, name] = key.split("/");
  const annotations = options.redirected === false ? {} : { "ambient.istio.io/redirection": "enabled" };
  return {
    kind: "Pod",
    metadata: { name: name ?? "", namespace: namespaceName ?? "", labels: options.labels ?? {}, annotations },
    spec: {
      nodeName: options.node ?? "node-1",
      serviceAccountName: options.account ?? "default",
      containers: [{ name: "app", ports: [{ name: "web", containerPort: 8080 }] }],
    },
    status: {
      phase: "Running",
      podIP: address,
      podIPs: [{ ip: address }],
      conditions: [{ type: "Ready", status: options.ready === false ? "False" : "True" }],
    },
  } as KubernetesObject;
}

export function service(
  key: string,
  address: string,
  selector: Record<string, string>,
  ports: readonly object[],
  labels: Record<string, string> = {},
): KubernetesObject {
  const [namespaceName, name] = key.split("/");
  return {
    kind: "Service",
    metadata: { name: name ?? "", namespace: namespaceName ?? "", labels },
    spec: { clusterIP: address, ipFamilies: ["IPv4"], selector, ports },
  } as KubernetesObject;
}

export function slice(
  key: string,
  port: { name: string; port: number },
  endpoints: readonly { address: string; pod?: string; ready?: boolean; node?: string; terminating?: boolean }[],
): KubernetesObject {
  const [namespaceName = "", name = ""] = key.split("/");
  return {
    kind: "EndpointSlice",
    metadata: { name: `${name}-x`, namespace: namespaceName, labels: { [serviceNameLabel]: name } },
    addressType: "IPv4",
    ports: [{ ...port, protocol: "TCP" }],
    endpoints: endpoints.map((endpoint) => ({
      addresses: [endpoint.address],
      conditions:
        endpoint.terminating === true
          ? { ready: false, serving: endpoint.ready ?? true, terminating: true }
          : { ready: endpoint.ready ?? true },
      nodeName: endpoint.node ?? "node-1",
      ...(endpoint.pod === undefined
        ? {}
        : { targetRef: { kind: "Pod", name: endpoint.pod, namespace: namespaceName } }),
    })),
  } as KubernetesObject;
}

export function config(kind: string, key: string, spec: object, metadata: object = {}): KubernetesObject {
  const [namespaceName, name] = key.split("/");
  return {
    kind,
    metadata: {
      name: name ?? "",
      namespace: namespaceName ?? "",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...metadata,
    },
    spec,
  } as KubernetesObject;
}
