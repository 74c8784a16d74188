import type { KubernetesObject } from "../../api/index.ts";
import { joinHostPort, urlHost } from "../../base/index.ts";
import type { Container, Endpoints, Node, Pod, Service } from "../../api/kubernetes/index.ts";
import type { DiscoveryRole } from "./scrape-config.ts";

/** The cluster's objects from which targets are discovered. A list is empty if no job needs it. */
export interface ClusterObjects {
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly endpoints: readonly Endpoints[];
  readonly nodes: readonly Node[];
}

/**
 * The labels of a target before relabelling: `__address__`, and `__meta_kubernetes_…` labels with Prometheus' names for
 * the role.
 */
export type DiscoveredLabels = ReadonlyMap<string, string>;

const prefix = "__meta_kubernetes_";
const kubeletPort = 10_250;

export function discoverTargets(role: DiscoveryRole, objects: ClusterObjects): DiscoveredLabels[] {
  switch (role) {
    case "pod":
      return objects.pods.flatMap(podTargets);
    case "service":
      return objects.services.flatMap(serviceTargets);
    case "endpoints":
      return endpointsTargets(objects);
    case "node":
      return objects.nodes.flatMap(nodeTargets);
  }
}

/** The text with `_` for each character that label names may not contain. */
function labelPart(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}

function objectLabels(kind: string, { metadata }: KubernetesObject): Map<string, string> {
  const labels = new Map<string, string>();
  if (metadata.namespace !== undefined) labels.set(`${prefix}namespace`, metadata.namespace);
  labels.set(`${prefix}${kind}_name`, metadata.name ?? "");
  for (const [form, values] of [
    ["label", metadata.labels],
    ["annotation", metadata.annotations],
  ] as const) {
    for (const [name, value] of Object.entries(values ?? {})) {
      labels.set(`${prefix}${kind}_${form}_${labelPart(name)}`, value);
      labels.set(`${prefix}${kind}_${form}present_${labelPart(name)}`, "true");
    }
  }
  return labels;
}

function podLabels(pod: Pod): Map<string, string> {
  const labels = objectLabels("pod", pod);
  const ready = pod.status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "Unknown";
  const facts: Readonly<Record<string, string | undefined>> = {
    pod_ip: pod.status?.podIP,
    pod_ready: ready.toLowerCase(),
    pod_phase: pod.status?.phase,
    pod_node_name: pod.spec?.nodeName,
    pod_host_ip: pod.status?.hostIP,
    pod_uid: pod.metadata.uid,
  };
  for (const [name, value] of Object.entries(facts)) if (value !== undefined) labels.set(`${prefix}${name}`, value);
  const controller = pod.metadata.ownerReferences?.find((owner) => owner.controller === true);
  if (controller !== undefined) {
    labels.set(`${prefix}pod_controller_kind`, controller.kind);
    labels.set(`${prefix}pod_controller_name`, controller.name);
  }
  return labels;
}

type ContainerPort = NonNullable<Container["ports"]>[number];

interface PodPort {
  readonly container: Container;
  readonly isInit: boolean;
  readonly port: ContainerPort | undefined;
}

/** The declared ports of a pod's containers. A container that declares none has one entry without a port. */
function podPorts(pod: Pod): PodPort[] {
  const containers = [
    ...(pod.spec?.containers ?? []).map((container) => ({ container, isInit: false })),
    ...(pod.spec?.initContainers ?? []).map((container) => ({ container, isInit: true })),
  ];
  return containers.flatMap(({ container, isInit }): PodPort[] => {
    const ports = container.ports ?? [];
    return ports.length === 0
      ? [{ container, isInit, port: undefined }]
      : ports.map((port) => ({ container, isInit, port }));
  });
}

function portLabels({ container, isInit, port }: PodPort): [string, string][] {
  const labels: [string, string][] = [
    [`${prefix}pod_container_name`, container.name],
    [`${prefix}pod_container_init`, String(isInit)],
    [`${prefix}pod_container_image`, container.image ?? ""],
  ];
  if (port === undefined) return labels;
  return [
    ...labels,
    [`${prefix}pod_container_port_name`, port.name ?? ""],
    [`${prefix}pod_container_port_number`, String(port.containerPort)],
    [`${prefix}pod_container_port_protocol`, port.protocol ?? "TCP"],
  ];
}

function podTargets(pod: Pod): DiscoveredLabels[] {
  const address = pod.status?.podIP;
  if (address === undefined || address === "") return [];
  const shared = podLabels(pod);
  return podPorts(pod).map(
    (port) =>
      new Map([
        ...shared,
        ...portLabels(port),
        ["__address__", port.port === undefined ? urlHost(address) : joinHostPort(address, port.port.containerPort)],
      ]),
  );
}

function serviceTargets(service: Service): DiscoveredLabels[] {
  const { name = "", namespace = "" } = service.metadata;
  const shared = objectLabels("service", service);
  shared.set(`${prefix}service_type`, service.spec?.type ?? "ClusterIP");
  if (service.spec?.type === "ExternalName")
    shared.set(`${prefix}service_external_name`, service.spec.externalName ?? "");
  else shared.set(`${prefix}service_cluster_ip`, service.spec?.clusterIP ?? "");
  return (service.spec?.ports ?? []).map(
    (port) =>
      new Map([
        ...shared,
        ["__address__", joinHostPort(`${name}.${namespace}.svc`, port.port)],
        [`${prefix}service_port_name`, port.name ?? ""],
        [`${prefix}service_port_number`, String(port.port)],
        [`${prefix}service_port_protocol`, port.protocol ?? "TCP"],
      ]),
  );
}

/**
 * The targets of an Endpoints object: one for each pair of address and port, and one for each further port of its pods.
 */
function endpointsTargets({ endpoints, services, pods }: ClusterObjects): DiscoveredLabels[] {
  const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
  const servicesByKey = new Map(services.map((service) => [keyOf(service), service]));
  const podsByKey = new Map(pods.map((pod) => [keyOf(pod), pod]));
  return endpoints.flatMap((object) => {
    const service = servicesByKey.get(keyOf(object));
    const shared = new Map([
      ...objectLabels("endpoints", object),
      ...(service === undefined ? [] : objectLabels("service", service)),
    ]);
    return targetsOfSubsets(object, shared, podsByKey);
  });
}

function targetsOfSubsets(
  { subsets = [] }: Endpoints,
  shared: DiscoveredLabels,
  pods: ReadonlyMap<string, Pod>,
): DiscoveredLabels[] {
  const targets: DiscoveredLabels[] = [];
  const served = new Map<string, { readonly pod: Pod; readonly ports: Set<number>; readonly isReady: string }>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets) {
    for (const [isReady, list] of [
      ["true", addresses],
      ["false", notReadyAddresses],
    ] as const) {
      for (const address of list) {
        const key = `${address.targetRef?.namespace ?? ""}/${address.targetRef?.name ?? ""}`;
        const pod = address.targetRef?.kind === "Pod" ? pods.get(key) : undefined;
        const known = served.get(key)?.ports ?? new Set<number>();
        if (pod !== undefined) served.set(key, { pod, ports: known, isReady });
        for (const port of ports) {
          known.add(port.port);
          targets.push(
            new Map([
              ...shared,
              ...addressLabels(address, isReady),
              ...endpointPortLabels(port),
              ...podPartLabels(pod, port.port),
              ["__address__", joinHostPort(address.ip, port.port)],
            ]),
          );
        }
      }
    }
  }
  for (const { pod, ports, isReady } of served.values()) targets.push(...furtherPorts(pod, ports, shared, isReady));
  return targets;
}

type Address = NonNullable<NonNullable<Endpoints["subsets"]>[number]["addresses"]>[number];

function addressLabels({ hostname, nodeName, targetRef }: Address, isReady: string): [string, string][] {
  return [
    [`${prefix}endpoint_ready`, isReady],
    [`${prefix}endpoint_hostname`, hostname ?? ""],
    [`${prefix}endpoint_node_name`, nodeName ?? ""],
    [`${prefix}endpoint_address_target_kind`, targetRef?.kind ?? ""],
    [`${prefix}endpoint_address_target_name`, targetRef?.name ?? ""],
  ];
}

function endpointPortLabels({
  name,
  protocol,
}: {
  readonly name?: string;
  readonly protocol?: string;
}): [string, string][] {
  return [
    [`${prefix}endpoint_port_name`, name ?? ""],
    [`${prefix}endpoint_port_protocol`, protocol ?? "TCP"],
  ];
}

function podPartLabels(pod: Pod | undefined, number: number): [string, string][] {
  if (pod === undefined) return [];
  const own = podPorts(pod).find(({ port }) => port?.containerPort === number);
  return [...podLabels(pod), ...(own === undefined ? [] : portLabels(own))];
}

function furtherPorts(
  pod: Pod,
  known: ReadonlySet<number>,
  shared: DiscoveredLabels,
  isReady: string,
): DiscoveredLabels[] {
  const address = pod.status?.podIP ?? "";
  return podPorts(pod).flatMap((part) => {
    if (part.port === undefined || known.has(part.port.containerPort)) return [];
    return [
      new Map([
        ...shared,
        [`${prefix}endpoint_ready`, isReady],
        ...podLabels(pod),
        ...portLabels(part),
        ["__address__", joinHostPort(address, part.port.containerPort)],
      ]),
    ];
  });
}

function nodeTargets(node: Node): DiscoveredLabels[] {
  const addresses = node.status?.addresses ?? [];
  const address = ["InternalIP", "ExternalIP", "Hostname"].flatMap((wanted) =>
    addresses.filter(({ type }) => type === wanted),
  )[0]?.address;
  if (address === undefined) return [];
  const labels = objectLabels("node", node);
  for (const { type, address: value } of addresses) labels.set(`${prefix}node_address_${labelPart(type)}`, value);
  labels.set(`${prefix}node_provider_id`, node.spec?.providerID ?? "");
  labels.set("__address__", joinHostPort(address, node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? kubeletPort));
  labels.set("instance", node.metadata.name ?? "");
  return [labels];
}
