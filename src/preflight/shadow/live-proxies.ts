import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import type { Json } from "../tree-diff.ts";
import { workloadOfPod, type Container, type Pod } from "../../api/kubernetes/index.ts";

export type ProxyType = "sidecar" | "router" | "waypoint" | "ztunnel";

/**
 * A proxy of the cluster, with the node metadata that it sends to a control plane. It stands for all replicas of its
 * workload.
 */
export interface LiveProxy {
  readonly type: ProxyType;
  /** The proxy's id: `<pod>.<namespace>`. */
  readonly id: string;
  /** The name for people: the workload and its namespace. */
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The id of its xDS node: `<type>~<address>~<pod>.<namespace>~<domain>`. */
  readonly nodeId: string;
  readonly metadata: Readonly<Record<string, Json>>;
  /** How many pods this proxy stands for. */
  readonly replicas: number;
  /** The revision that injected or deployed the proxy. Undefined if unknown. */
  readonly revision: string | undefined;
}

const proxyContainer = "istio-proxy";
const types: readonly ProxyType[] = ["sidecar", "router", "waypoint", "ztunnel"];
const metaPrefix = "ISTIO_META_";
const metaJsonPrefix = "ISTIO_METAJSON_";

/** The proxies in the pods, read from their containers. The first running pod of each owner stands for the others. */
export function liveProxies(pods: readonly Pod[]): LiveProxy[] {
  const found = new Map<string, LiveProxy>();
  for (const pod of pods) {
    const proxy = proxyOf(pod);
    if (proxy === undefined) continue;
    const key = `${proxy.type} ${proxy.namespace} ${ownerKey(pod)} ${proxy.revision ?? ""}`;
    const known = found.get(key);
    found.set(key, known === undefined ? proxy : { ...known, replicas: known.replicas + 1 });
  }
  return [...found.values()];
}

function ownerKey({ metadata }: Pod): string {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  return owner === undefined ? (metadata.name ?? "") : `${owner.kind}/${owner.name}`;
}

function proxyOf(pod: Pod): LiveProxy | undefined {
  const { metadata, spec, status } = pod;
  if (metadata.deletionTimestamp !== undefined || status?.phase !== "Running" || spec === undefined) return undefined;
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  const container = containers.find(({ name }) => name === proxyContainer);
  const type = container === undefined ? undefined : typeOf(container, pod);
  if (container === undefined || type === undefined) return undefined;
  const { name = "", namespace = "", labels = {} } = metadata;
  const address = status.podIP ?? "127.0.0.1";
  return {
    type,
    id: `${name}.${namespace}`,
    name: `${workloadOfPod(pod).name}.${namespace}`,
    namespace,
    labels,
    nodeId: `${type}~${address}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: metadataOf(pod, container, type, address),
    replicas: 1,
    revision: labels[istioLabels.revision] ?? metadata.annotations?.[istioLabels.revision],
  };
}

function typeOf({ args = [] }: Container, { metadata }: Pod): ProxyType | undefined {
  const word = args.find((arg) => types.some((type) => type === arg));
  if (word !== undefined) return types.find((type) => type === word);
  return metadata.annotations?.[istioAnnotations.sidecarStatus] === undefined ? undefined : "sidecar";
}

function metadataOf(pod: Pod, container: Container, type: ProxyType, address: string): Readonly<Record<string, Json>> {
  const { name = "", namespace = "", labels = {}, annotations = {} } = pod.metadata;
  const env = environmentOf(pod, container);
  const metadata: Record<string, Json> = type === "sidecar" ? {} : { ENABLE_HBONE: "true" };
  for (const [variable, value] of Object.entries(env)) {
    if (variable.startsWith(metaPrefix)) metadata[variable.slice(metaPrefix.length)] = value;
    else if (variable.startsWith(metaJsonPrefix)) metadata[variable.slice(metaJsonPrefix.length)] = jsonOf(value);
  }
  const proxyConfig = jsonOf(env["PROXY_CONFIG"] ?? "");
  return {
    CLUSTER_ID: "Kubernetes",
    ...metadata,
    NAME: name,
    NAMESPACE: namespace,
    INSTANCE_IPS: address,
    SERVICE_ACCOUNT: pod.spec?.serviceAccountName ?? "default",
    NODE_NAME: pod.spec?.nodeName ?? "",
    WORKLOAD_NAME: workloadOfPod(pod).name,
    LABELS: labels,
    ANNOTATIONS: annotations,
    ...(typeof proxyConfig === "object" && proxyConfig !== null ? { PROXY_CONFIG: proxyConfig } : {}),
  };
}

/** The variables of the container that have a plain value, or the value of a known field of the pod. */
function environmentOf({ metadata, spec, status }: Pod, { env = [] }: Container): Readonly<Record<string, string>> {
  const fields: Readonly<Record<string, string | undefined>> = {
    "metadata.name": metadata.name,
    "metadata.namespace": metadata.namespace,
    "spec.nodeName": spec?.nodeName,
    "spec.serviceAccountName": spec?.serviceAccountName,
    "status.podIP": status?.podIP,
  };
  const found: Record<string, string> = {};
  for (const { name, value, valueFrom } of env) {
    const text = value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ""];
    if (text !== undefined) found[name] = text;
  }
  return found;
}

function jsonOf(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
