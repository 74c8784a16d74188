import type { NetworkPolicyPort, Pod } from "../../../api/kubernetes/index.ts";

export interface AllowedTraffic {
  readonly peer: TrafficPeer;
  /** The allowed ports. The list is not empty. Undefined means all ports of all protocols. */
  readonly ports: readonly TrafficPorts[] | undefined;
}

export type TrafficPeer =
  | { readonly kind: "any" }
  | { readonly kind: "addresses"; readonly addresses: readonly string[] }
  | { readonly kind: "block"; readonly cidr: string; readonly except: readonly string[] };

export interface TrafficPorts {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly first: number;
  readonly last: number;
}

const allPorts = { first: 0, last: 65_535 } as const;

/** Returns the ports of an entry that uses numbers, and an empty list for an entry with a port name. */
export function numberedPorts(port: NetworkPolicyPort): TrafficPorts[] {
  const protocol = protocolOf(port);
  if (port.port === undefined) return [{ protocol, ...allPorts }];
  return typeof port.port === "string" ? [] : [{ protocol, first: port.port, last: port.endPort ?? port.port }];
}

export function portsOn(port: NetworkPolicyPort, pod: Pod): TrafficPorts[] {
  if (typeof port.port !== "string") return numberedPorts(port);
  const protocol = protocolOf(port);
  return (namedPorts(pod).get(port.port) ?? []).filter((candidate) => candidate.protocol === protocol);
}

/** The named ports of each pod that was needed so far. They are cached, because a pod may have thousands of ports. */
const namedPortsOfPods = new WeakMap<Pod, ReadonlyMap<string, readonly TrafficPorts[]>>();

function namedPorts(pod: Pod): ReadonlyMap<string, readonly TrafficPorts[]> {
  let found = namedPortsOfPods.get(pod);
  if (found === undefined) {
    const { containers = [], initContainers = [] } = pod.spec ?? {};
    const ports = [...containers, ...initContainers].flatMap((container) =>
      (container.ports ?? []).map(({ name = "", containerPort, protocol }) => ({
        name,
        range: { protocol: protocolOf({ protocol }), first: containerPort, last: containerPort },
      })),
    );
    const byName = Map.groupBy(ports, ({ name }) => name);
    found = new Map([...byName].map(([name, entries]) => [name, entries.map(({ range }) => range)]));
    namedPortsOfPods.set(pod, found);
  }
  return found;
}

export function protocolOf({ protocol = "TCP" }: { readonly protocol?: string | undefined }): TrafficPorts["protocol"] {
  return protocol.toLowerCase() as TrafficPorts["protocol"];
}
