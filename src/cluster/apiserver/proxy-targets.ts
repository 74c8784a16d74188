import { isInsideAddress } from "../../base/index.ts";
import { serviceNameLabel, type UntypedObject } from "../../api/index.ts";
import type { ResourceContext, ServerParts } from "./context.ts";
import type { ProxyTarget } from "./node-client.ts";
import { ApiError, badRequest, notFound } from "./status.ts";

const nodePort = 10_250;

const streamed = new Set(["log", "exec", "attach", "portforward", "proxy"]);

/** Whether the server must forward the request to a node, a pod or a Service. */
export function isProxied({ info, type }: ResourceContext): boolean {
  if (!streamed.has(info.subresource)) return false;
  return (
    type.storageKey === "/pods" ||
    (info.subresource === "proxy" && (type.storageKey === "/services" || type.storageKey === "/nodes"))
  );
}

/** Whether the request is for the logs of a pod that has no node yet. The server then answers with an empty log. */
export function hasNoLogsYet(parts: ServerParts, { info, type }: ResourceContext): boolean {
  if (type.storageKey !== "/pods" || info.subresource !== "log") return false;
  const pod = parts.store.get("/pods", info.namespace, info.name)?.object as unknown as PodFields | undefined;
  return pod !== undefined && (pod.spec.nodeName ?? "") === "";
}

export function proxyTarget(parts: ServerParts, context: ResourceContext): ProxyTarget {
  const { info, query, type } = context;
  if (info.subresource !== "proxy") return podTarget(parts, context);
  const search = query.size === 0 ? "" : `?${query.toString()}`;
  const path = `${info.rest === "" ? "/" : info.rest}${search}`;
  if (type.storageKey === "/nodes") return { ...nodeAddress(parts, info.name), path };
  const [name, port, scheme] = schemeNamePort(info.name);
  const protocol = scheme === "https" ? "https" : "http";
  if (type.storageKey === "/pods") {
    const pod = parts.store.get("/pods", info.namespace, name);
    if (pod === undefined) throw notFound(type, name);
    return {
      protocol,
      host: allowed(podAddress(pod.object)),
      port: port === "" ? firstContainerPort(pod.object) : namedContainerPort(pod.object, port),
      path,
      toNode: false,
    };
  }
  const endpoint = endpointOf(parts, info.namespace, name, port);
  return { protocol, host: allowed(endpoint.host), port: endpoint.port, path, toNode: false };
}

/**
 * Returns the host. Throws 400 for the server's own loopback and link-local addresses, because a user who writes an
 * EndpointSlice or a status chooses the address to which requests are proxied.
 */
function allowed(host: string): string {
  if (isInsideAddress(host)) throw badRequest("address not allowed");
  return host;
}

/** Splits `[scheme:]name[:port]` into [name, port, scheme]. */
function schemeNamePort(text: string): readonly [string, string, string | undefined] {
  const words = text.split(":");
  if (words.length === 3) return [words[1] ?? "", words[2] ?? "", words[0]];
  return [words[0] ?? "", words[1] ?? "", undefined];
}

interface PodFields {
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly {
      readonly name: string;
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
    readonly initContainers?: readonly { readonly name: string }[];
    readonly ephemeralContainers?: readonly { readonly name: string }[];
  };
  readonly status?: { readonly podIP?: string };
}

/** The target for a pod's logs and streams: a path of the kubelet's API on the pod's node. */
function podTarget(parts: ServerParts, { info, query }: ResourceContext): ProxyTarget {
  const record = parts.store.get("/pods", info.namespace, info.name);
  if (record === undefined) throw notFound({ group: "", plural: "pods" }, info.name);
  const pod = record.object as unknown as PodFields;
  const node = pod.spec.nodeName ?? "";
  if (node === "") throw badRequest(`pod ${info.name} does not have a host assigned`);
  const search = new URLSearchParams(query);
  let path: string;
  if (info.subresource === "portforward") path = `/portForward/${info.namespace}/${info.name}`;
  else {
    const container = containerOf(record.object, pod, info.name, search.get("container") ?? "");
    search.delete("container");
    path = `/${info.subresource === "log" ? "containerLogs" : info.subresource}/${info.namespace}/${info.name}/${container}`;
    if (info.subresource !== "log") renameStreams(search);
  }
  return { ...nodeAddress(parts, node), path: search.size === 0 ? path : `${path}?${search.toString()}` };
}

/**
 * Renames the API's query parameters of a stream to those of the kubelet. For example, `stdin=true` becomes `input=1`.
 */
function renameStreams(search: URLSearchParams): void {
  for (const [from, to] of [
    ["stdin", "input"],
    ["stdout", "output"],
    ["stderr", "error"],
    ["tty", "tty"],
  ] as const) {
    const value = search.get(from);
    search.delete(from);
    if (value === "true" || value === "1") search.set(to, "1");
  }
}

function containerOf(object: UntypedObject, { spec }: PodFields, pod: string, wanted: string): string {
  const names = spec.containers.map((container) => container.name);
  const all = [
    ...names,
    ...(spec.initContainers ?? []).map(({ name }) => name),
    ...(spec.ephemeralContainers ?? []).map(({ name }) => name),
  ];
  if (wanted !== "") {
    if (!all.includes(wanted)) throw badRequest(`container ${wanted} is not valid for pod ${pod}`);
    return wanted;
  }
  const preferred = object.metadata.annotations?.["kubectl.kubernetes.io/default-container"];
  if (preferred !== undefined && all.includes(preferred)) return preferred;
  const [only = "", ...others] = names;
  if (others.length === 0) return only;
  throw badRequest(`a container name must be specified for pod ${pod}, choose one of: [${names.join(" ")}]`);
}

/** The target for a node's own API. Throws if the node does not exist or has no address. */
export function nodeTarget(parts: ServerParts, name: string, path: string): ProxyTarget {
  return { ...nodeAddress(parts, name), path };
}

function nodeAddress(parts: ServerParts, name: string): Pick<ProxyTarget, "protocol" | "host" | "port" | "toNode"> {
  const node = parts.store.get("/nodes", "", name);
  if (node === undefined) throw notFound({ group: "", plural: "nodes" }, name);
  const status = (node.object["status"] ?? {}) as {
    addresses?: { type: string; address: string }[];
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } };
  };
  const host =
    status.addresses?.find((address) => address.type === "InternalIP")?.address ?? status.addresses?.[0]?.address;
  if (host === undefined)
    throw new ApiError(500, "InternalError", `no preferred addresses found; known addresses of node ${name}: []`);
  if (!parts.allowsInsideNodes) allowed(host);
  return { protocol: "https", host, port: status.daemonEndpoints?.kubeletEndpoint?.Port ?? nodePort, toNode: true };
}

function podAddress(pod: UntypedObject): string {
  const address = (pod as unknown as PodFields).status?.podIP ?? "";
  if (address === "")
    throw new ApiError(503, "ServiceUnavailable", `address not allowed: pod ${pod.metadata.name ?? ""} has no IP yet`);
  return address;
}

function firstContainerPort(pod: UntypedObject): number {
  return (
    (pod as unknown as PodFields).spec.containers.flatMap((container) => container.ports ?? [])[0]?.containerPort ?? 80
  );
}

function namedContainerPort(pod: UntypedObject, port: string): number {
  if (/^\d+$/.test(port)) return Number(port);
  const found = (pod as unknown as PodFields).spec.containers
    .flatMap((container) => container.ports ?? [])
    .find((candidate) => candidate.name === port);
  if (found === undefined) throw badRequest(`pod ${pod.metadata.name ?? ""} has no port named "${port}"`);
  return found.containerPort;
}

interface SliceFields {
  readonly endpoints?: readonly {
    readonly addresses?: readonly string[];
    readonly conditions?: { readonly ready?: boolean };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[];
}

/** A random ready endpoint of the Service's port. */
function endpointOf(
  parts: ServerParts,
  namespace: string,
  name: string,
  wanted: string,
): { host: string; port: number } {
  const service = parts.store.get("/services", namespace, name);
  if (service === undefined) throw notFound({ group: "", plural: "services" }, name);
  const ports = (service.object["spec"] as { ports?: { name?: string; port: number }[] }).ports ?? [];
  const port =
    wanted === "" && ports.length === 1
      ? ports[0]
      : ports.find((candidate) => candidate.name === wanted || String(candidate.port) === wanted);
  if (port === undefined)
    throw new ApiError(503, "ServiceUnavailable", `no service port "${wanted}" found for service "${name}"`);
  const found: { host: string; port: number }[] = [];
  for (const record of parts.store.collection("discovery.k8s.io/endpointslices").list(namespace)) {
    if (record.labels[serviceNameLabel] !== name) continue;
    const slice = record.object as unknown as SliceFields;
    const target = slice.ports?.find((candidate) => (candidate.name ?? "") === (port.name ?? ""))?.port;
    if (target === undefined) continue;
    for (const { addresses = [], conditions } of slice.endpoints ?? []) {
      if (conditions?.ready !== false && addresses[0] !== undefined) found.push({ host: addresses[0], port: target });
    }
  }
  const chosen = found[Math.floor(parts.random() * found.length)];
  if (chosen === undefined)
    throw new ApiError(503, "ServiceUnavailable", `no endpoints available for service "${name}"`);
  return chosen;
}
