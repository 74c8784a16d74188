import { isIPv6 } from "node:net";
import {
  isFinishedPod,
  type Endpoint,
  type EndpointAddress,
  type Endpoints,
  type EndpointSlice,
  type Pod,
  type Service,
  type ServicePort,
} from "../../../api/kubernetes/index.ts";
import { isReady, isTerminating } from "../pods/pod-facts.ts";

/** The maximum number of endpoints in a slice, as in Kubernetes. A Service with more endpoints has several slices. */
const maxEndpointsPerSlice = 100;

export interface SlicePlan {
  readonly addressType: "IPv4" | "IPv6";
  readonly ports: NonNullable<EndpointSlice["ports"]>;
  readonly endpoints: readonly Endpoint[];
}

/**
 * Plans the slices of a Service: one group for each address family and each set of resolved ports. `zoneOf` returns the
 * zone of a node.
 */
export function planSlices(
  service: Service,
  pods: readonly Pod[],
  zoneOf: (node: string) => string | undefined = () => undefined,
): SlicePlan[] {
  const plans: SlicePlan[] = [];
  const families = service.spec?.ipFamilies ?? ["IPv4"];
  for (const addressType of families.length === 0 ? (["IPv4"] as const) : families) {
    const groups = new Map<string, { ports: NonNullable<EndpointSlice["ports"]>; endpoints: Endpoint[] }>();
    for (const pod of [...pods].sort(byName)) {
      const address = addressOf(pod, addressType);
      if (address === undefined || isFinishedPod(pod)) continue;
      const ports = portsFor(service, pod);
      if (ports === undefined) continue;
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      group.endpoints.push(endpointOf(service, pod, address, zoneOf(pod.spec?.nodeName ?? "")));
      groups.set(key, group);
    }
    // A Service without endpoints has an empty slice, so that readers can distinguish "no endpoints" from "not yet
    // written".
    if (groups.size === 0) plans.push({ addressType, ports: [], endpoints: [] });
    for (const { ports, endpoints } of groups.values()) {
      for (let start = 0; start < endpoints.length; start += maxEndpointsPerSlice) {
        plans.push({ addressType, ports, endpoints: endpoints.slice(start, start + maxEndpointsPerSlice) });
      }
    }
  }
  return plans;
}

/** Plans the older Endpoints object: ready and unready addresses, grouped by ports. */
export function planSubsets(service: Service, pods: readonly Pod[]): NonNullable<Endpoints["subsets"]> {
  const subsets: NonNullable<Endpoints["subsets"]> = [];
  for (const { addressType, ports, endpoints } of planSlices(service, pods)) {
    if (addressType !== (service.spec?.ipFamilies?.[0] ?? "IPv4") || endpoints.length === 0) continue;
    const addresses: EndpointAddress[] = [];
    const notReadyAddresses: EndpointAddress[] = [];
    for (const {
      addresses: [ip = ""],
      conditions,
      hostname,
      nodeName,
      targetRef,
    } of endpoints) {
      if (conditions?.terminating === true && conditions.ready !== true) continue;
      const address = {
        ip,
        ...(hostname === undefined ? {} : { hostname }),
        ...(nodeName === undefined ? {} : { nodeName }),
        ...(targetRef === undefined ? {} : { targetRef }),
      };
      (conditions?.ready === true ? addresses : notReadyAddresses).push(address);
    }
    if (addresses.length + notReadyAddresses.length === 0) continue;
    const subsetPorts = ports.map(({ name, port = 0, protocol, appProtocol }) => ({
      ...(name === undefined || name === "" ? {} : { name }),
      port,
      ...(protocol === undefined ? {} : { protocol }),
      ...(appProtocol === undefined ? {} : { appProtocol }),
    }));
    subsets.push({
      ...(addresses.length === 0 ? {} : { addresses }),
      ...(notReadyAddresses.length === 0 ? {} : { notReadyAddresses }),
      ...(subsetPorts.length === 0 ? {} : { ports: subsetPorts }),
    });
  }
  return subsets;
}

function endpointOf(service: Service, pod: Pod, address: string, zone: string | undefined): Endpoint {
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const terminating = isTerminating(pod);
  const serving = isReady(pod);
  const publish = service.spec?.publishNotReadyAddresses === true;
  const named = pod.spec?.hostname !== undefined && pod.spec.subdomain === service.metadata.name;
  return {
    addresses: [address],
    conditions: { ready: publish || (serving && !terminating), serving, terminating },
    ...(named && pod.spec?.hostname !== undefined ? { hostname: pod.spec.hostname } : {}),
    ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: { kind: "Pod", name, namespace, uid },
  };
}

/**
 * Returns the Service's ports on this pod, with named ports resolved. Returns undefined if the Service has ports, but
 * the pod has none of them.
 */
function portsFor(service: Service, pod: Pod): NonNullable<EndpointSlice["ports"]> | undefined {
  const wanted = service.spec?.ports ?? [];
  const ports = wanted.flatMap((port) => {
    const number = resolvePort(port, pod);
    if (number === undefined) return [];
    const { name = "", protocol = "TCP", appProtocol } = port;
    return [{ name, protocol, port: number, ...(appProtocol === undefined ? {} : { appProtocol }) }];
  });
  return wanted.length > 0 && ports.length === 0 ? undefined : ports;
}

export function resolvePort({ port, targetPort, protocol = "TCP" }: ServicePort, pod: Pod): number | undefined {
  if (targetPort === undefined || targetPort === 0 || targetPort === "") return port;
  if (typeof targetPort === "number") return targetPort;
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    const found = container.ports?.find(
      (candidate) => candidate.name === targetPort && (candidate.protocol ?? "TCP") === protocol,
    );
    if (found !== undefined) return found.containerPort;
  }
  return undefined;
}

function addressOf(pod: Pod, family: "IPv4" | "IPv6"): string | undefined {
  const all = [
    ...(pod.status?.podIP === undefined ? [] : [pod.status.podIP]),
    ...(pod.status?.podIPs ?? []).map(({ ip }) => ip),
  ];
  return all.find((ip) => ip !== "" && isIPv6(ip) === (family === "IPv6"));
}

function byName(a: Pod, b: Pod): number {
  return (a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1;
}
