import type { UntypedObject } from "../../../api/index.ts";
import type { Deployment, Namespace, Pod, Service } from "../../../api/kubernetes/index.ts";
import { makeInventory } from "../inventory.ts";
import { noMessages } from "../config-messages.ts";
import { noObjects, type MeshObjects } from "../mesh-objects.ts";
import { combineTraffic, trafficLabels, type CountedTraffic } from "../traffic.ts";
import { noPilots, type ViewInput } from "../view-input.ts";

// Small meshes for tests of views.

export const nowMs = Date.parse("2026-06-01T12:00:00Z");

export function namespace(name: string, labels: Record<string, string> = {}): Namespace {
  return { metadata: { name, labels } };
}

export interface PodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly containers?: readonly string[];
  readonly ready?: boolean;
  readonly node?: string;
}

export function pod(
  namespaceName: string,
  workload: string,
  { labels = {}, annotations = {}, containers = ["app"], ready = true, node = "worker" }: PodOptions = {},
): Pod {
  return {
    metadata: {
      name: `${workload}-1-x`,
      namespace: namespaceName,
      uid: `${namespaceName}-${workload}`,
      labels: { ...labels, "pod-template-hash": "1" },
      annotations: { ...annotations },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${workload}-1`, uid: "u", controller: true },
      ],
    },
    spec: { containers: containers.map((name) => ({ name, image: `registry/${name}:1.31.0` })), nodeName: node },
    status: {
      phase: "Running",
      podIP: "10.244.0.1",
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    },
  };
}

export function deployment(
  namespaceName: string,
  name: string,
  labels: Record<string, string>,
  replicas = 1,
): Deployment {
  return {
    metadata: { name, namespace: namespaceName },
    spec: { replicas, selector: {}, template: { metadata: { labels } } },
  };
}

export function service(namespaceName: string, name: string, selector: Record<string, string>): Service {
  return {
    metadata: { name, namespace: namespaceName },
    spec: { clusterIP: "10.96.0.9", selector, ports: [{ port: 80, name: "http" }] },
  };
}

export function config(
  apiVersion: string,
  kind: string,
  namespaceName: string,
  name: string,
  spec: unknown,
): UntypedObject {
  return { apiVersion, kind, metadata: { name, namespace: namespaceName, resourceVersion: "7" }, spec };
}

export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly rate: number;
  readonly code?: string;
  readonly flags?: string;
  readonly reporter?: string;
  /** `namespace/name`. By default, `web` in the destination's namespace. */
  readonly service?: string;
  readonly version?: string;
  readonly secured?: boolean;
  /** The upper bound of the bucket in which all its requests are. */
  readonly upToMs?: number;
}

const boundsMs = [5, 10, 25, 50];

export function counted({
  from,
  to,
  rate,
  code = "200",
  flags = "-",
  reporter = "source",
  service: by = `${to.split("/")[0] ?? ""}/web`,
  version = "unknown",
  secured,
  upToMs,
}: Sent): CountedTraffic {
  const [sourceNamespace = "unknown", source = "unknown"] = from === "unknown" ? [] : from.split("/");
  const [destinationNamespace = "unknown", destination = "unknown"] = to === "unknown" ? [] : to.split("/");
  const [serviceNamespace = "", serviceName = ""] = by.split("/");
  const labels = trafficLabels({
    reporter,
    response_code: code,
    response_flags: flags,
    request_protocol: "http",
    connection_security_policy: secured === undefined ? "unknown" : secured ? "mutual_tls" : "none",
    source_workload: source,
    source_workload_namespace: sourceNamespace,
    source_app: source,
    source_version: "unknown",
    destination_workload: destination,
    destination_workload_namespace: destinationNamespace,
    destination_app: destination,
    destination_version: version,
    destination_service: `${serviceName}.${serviceNamespace}.svc.cluster.local`,
    destination_service_name: serviceName,
    destination_service_namespace: serviceNamespace,
  });
  const durations =
    upToMs === undefined
      ? undefined
      : { boundsMs, counts: [...boundsMs, Infinity].map((bound) => (bound === upToMs ? rate : 0)) };
  return { labels, requestRate: rate, durations, byteRate: 0, openedRate: 0 };
}

export function input(
  objects: Partial<MeshObjects>,
  sent: readonly Sent[] = [],
  more: Partial<ViewInput> = {},
): ViewInput {
  return {
    atMs: nowMs,
    sources: [],
    inventory: makeInventory({ ...noObjects, ...objects }),
    traffic: { edges: combineTraffic(sent.map(counted)), windowSeconds: 60, asOfMs: nowMs, oldestMs: nowMs - 600_000 },
    pilots: noPilots,
    messages: noMessages,
    ...more,
  };
}
