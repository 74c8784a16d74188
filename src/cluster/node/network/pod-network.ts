import { writeFileSync } from "node:fs";
import { transientError } from "../../../base/index.ts";
import { NetworkNamespace, RouteNetlink } from "../../../net/index.ts";

export interface PodAddress {
  readonly ip: string;
  /** A number for the link's name and hardware addresses. A freed number is not reused soon. */
  readonly serial: number;
}

const insideIndex = 2;
const firstHostIndex = 1_000;
/**
 * The sysctl value for strict reverse path filtering (RFC 3704): the route back to a packet's source must use the link
 * on which the packet came.
 */
const strictFilter = "1";
const gateway = "169.254.1.1";
const firstHost = 2;
const lastHost = 254;

/** Assigns a node's pod addresses in turn, so that a freed address stays unused as long as possible. */
export class PodAddresses {
  readonly #prefix: string;
  readonly #used = new Set<string>();
  #next = firstHost;
  #serial = 0;

  readonly #changed: () => void;

  /** Manages the addresses of `podCidr`, which must be a /24. Calls `changed` when the used addresses change. */
  constructor(podCidr: string, changed: () => void = () => undefined) {
    this.#changed = changed;
    this.#prefix = podCidr.split(".").slice(0, 3).join(".");
  }

  /** Takes a free address. Throws a transient error if all are in use. */
  take(): PodAddress {
    for (let tried = firstHost; tried <= lastHost; tried += 1) {
      const ip = `${this.#prefix}.${this.#next}`;
      this.#next = this.#next === lastHost ? firstHost : this.#next + 1;
      if (this.#used.has(ip)) continue;
      this.#used.add(ip);
      this.#serial += 1;
      this.#changed();
      return { ip, serial: this.#serial };
    }
    throw transientError(
      "range-full",
      `all ${lastHost - firstHost + 1} pod addresses of ${this.#prefix}.0/24 are taken`,
    );
  }

  /** Reserves an address that an earlier process of the node assigned. */
  adopt(address: PodAddress): void {
    this.#used.add(address.ip);
    this.#serial = Math.max(this.#serial, address.serial);
    const host = Number(address.ip.split(".")[3]);
    if (host >= this.#next) this.#next = host === lastHost ? firstHost : host + 1;
  }

  release(address: PodAddress): void {
    this.#used.delete(address.ip);
    this.#changed();
  }

  used(): string[] {
    return [...this.#used];
  }
}

/**
 * Makes a pod's network namespace, with a routed point-to-point link to the node's namespace. The caller must close it.
 */
export function createPodNetwork(address: PodAddress, sysctls: Readonly<Record<string, string>>): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  try {
    namespace.enter(() => {
      writeFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
      for (const [name, value] of Object.entries(sysctls))
        if (name.startsWith("net.")) writeFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, value);
    });
    wire(namespace, address);
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

function wire(namespace: NetworkNamespace, { ip, serial }: PodAddress): void {
  const hostIndex = firstHostIndex + serial;
  const hostMac = macAddress(2, serial);
  const podMac = macAddress(3, serial);
  using node = new RouteNetlink();
  using pod = new RouteNetlink(namespace.fd);
  node.addVeth({
    name: `pod${serial}`,
    index: hostIndex,
    macAddress: hostMac,
    peer: { name: "eth0", index: insideIndex, macAddress: podMac, namespaceFd: namespace.fd },
  });
  pod.batch(() => {
    pod.setLoopbackUp();
    pod.setLink(insideIndex, { up: true });
    pod.addAddress(insideIndex, { address: ip, prefixLength: 32 });
    pod.addNeighbour(insideIndex, gateway, hostMac);
    pod.addRoute({ destination: { address: gateway, prefixLength: 32 }, linkIndex: insideIndex });
    pod.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway, linkIndex: insideIndex });
  });
  node.batch(() => {
    node.addRoute({ destination: { address: ip, prefixLength: 32 }, linkIndex: hostIndex, replace: true });
    node.addNeighbour(hostIndex, ip, podMac);
  });
  // Drops packets with another source than the pod's address. With NET_RAW, which pods have by default, a pod can write
  // any source, and policies for that source could let its packets pass.
  writeFileSync(`/proc/sys/net/ipv4/conf/pod${serial}/rp_filter`, strictFilter);
}

function macAddress(kind: number, serial: number): Uint8Array {
  return Uint8Array.of(0x02, 0x5e, kind, (serial >> 16) & 0xff, (serial >> 8) & 0xff, serial & 0xff);
}
