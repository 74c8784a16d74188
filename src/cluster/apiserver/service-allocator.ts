import { userError } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { fieldErrors } from "../schema/field-error.ts";
import type { Store } from "../store/index.ts";
import { invalid } from "./status.ts";

interface ServicePort {
  name?: string;
  port: number;
  protocol?: string;
  nodePort?: number;
}

export interface ServiceSpec {
  type?: string;
  clusterIP?: string;
  clusterIPs?: string[];
  ipFamilies?: string[];
  ipFamilyPolicy?: string;
  ports?: ServicePort[];
  externalName?: string;
  allocateLoadBalancerNodePorts?: boolean;
  healthCheckNodePort?: number;
  externalTrafficPolicy?: string;
  selector?: Record<string, string>;
}

const firstNodePort = 30_000;
const lastNodePort = 32_767;
/** The index of the first address that the server chooses itself. */
const firstFreeIndex = 11;

/**
 * Assigns cluster IPs and node ports to Services. A value is in use if a stored Service has it, or if a write in
 * progress has reserved it.
 */
export class ServiceAllocator {
  readonly #store: Store;
  readonly #base: number;
  readonly #size: number;
  readonly #random: () => number;
  readonly #held = new Set<string>();

  /**
   * Allocates from an IPv4 range such as 10.96.0.0/16. The first addresses (up to .10) are assigned only if a Service
   * requests them.
   */
  constructor(store: Store, cidr: string, random: () => number) {
    const [address = "", prefix = ""] = cidr.split("/");
    const bits = Number(prefix);
    if (!/^\d+\.\d+\.\d+\.\d+$/.test(address) || !(bits >= 8 && bits <= 28)) {
      throw userError("address-invalid", `the service CIDR "${cidr}" is not an IPv4 range`, {
        hint: "use a range from /8 to /28, such as 10.96.0.0/16",
      });
    }
    this.#store = store;
    this.#size = 2 ** (32 - bits);
    this.#base = (numberOf(address) & ~(this.#size - 1)) >>> 0;
    this.#random = random;
  }

  /** The n-th address of the range. 1 is the address of the Service `kubernetes`, and 10 that of the DNS Service. */
  address(index: number): string {
    return textOf(this.#base + index);
  }

  /**
   * Completes `spec` in place. Returns the reservation, which the caller must dispose when the object is stored or
   * refused. Throws 422 for addresses and ports that are in use or out of range.
   */
  allocate(service: UntypedObject, old: UntypedObject | undefined): Disposable {
    const spec = (service["spec"] ??= {}) as ServiceSpec;
    const oldSpec = old?.["spec"] as ServiceSpec | undefined;
    checkFamilies(service, spec, oldSpec);
    const held: string[] = [];
    const hold = { [Symbol.dispose]: () => held.forEach((entry) => this.#held.delete(entry)) };
    try {
      this.#clusterIp(service, spec, oldSpec, held);
      this.#nodePorts(service, spec, oldSpec, held);
    } catch (error) {
      hold[Symbol.dispose]();
      throw error;
    }
    return hold;
  }

  #clusterIp(service: UntypedObject, spec: ServiceSpec, oldSpec: ServiceSpec | undefined, held: string[]): void {
    if (spec.type === "ExternalName") {
      delete spec.clusterIP;
      delete spec.clusterIPs;
      delete spec.ipFamilies;
      delete spec.ipFamilyPolicy;
      return;
    }
    if ((spec.clusterIP ?? "") === "" && spec.clusterIPs?.[0] !== undefined) spec.clusterIP = spec.clusterIPs[0];
    if ((spec.clusterIP ?? "") === "" && (oldSpec?.clusterIP ?? "") !== "") spec.clusterIP = oldSpec?.clusterIP ?? "";
    if ((spec.clusterIP ?? "") === "") spec.clusterIP = this.#freeAddress(held);
    else if (spec.clusterIP !== "None" && spec.clusterIP !== oldSpec?.clusterIP)
      this.#takeAddress(service, spec.clusterIP ?? "", held);
    spec.clusterIPs = [spec.clusterIP ?? ""];
    spec.ipFamilies ??= ["IPv4"];
    spec.ipFamilyPolicy ??= "SingleStack";
  }

  #freeAddress(held: string[]): string {
    const taken = this.#takenAddresses();
    const count = this.#size - 1 - firstFreeIndex;
    const start = Math.floor(this.#random() * count);
    for (let step = 0; step < count; step++) {
      const address = this.address(firstFreeIndex + ((start + step) % count));
      if (taken.has(address)) continue;
      this.#hold(address, held);
      return address;
    }
    throw userError("range-full", "failed to allocate a serviceIP: range is full", {
      hint: "delete Services that are not needed",
    });
  }

  #takeAddress(service: UntypedObject, address: string, held: string[]): void {
    const refuse = (why: string): Error =>
      refused(service, "spec.clusterIPs", [address], `failed to allocate IP ${address}: ${why}`);
    const value = /^\d+\.\d+\.\d+\.\d+$/.test(address) ? numberOf(address) : -1;
    if (value <= this.#base || value >= this.#base + this.#size - 1) {
      throw refuse("the provided network does not match the current range");
    }
    if (this.#takenAddresses().has(address)) throw refuse("provided IP is already allocated");
    this.#hold(address, held);
  }

  #nodePorts(service: UntypedObject, spec: ServiceSpec, oldSpec: ServiceSpec | undefined, held: string[]): void {
    if (!hasNodePorts(spec)) {
      if (spec.type !== "LoadBalancer") for (const port of spec.ports ?? []) delete port.nodePort;
      return;
    }
    const before = new Set((oldSpec?.ports ?? []).map((port) => portKey(port.protocol, port.nodePort)));
    const taken = this.#taken((other) => (other.ports ?? []).map((port) => portKey(port.protocol, port.nodePort)));
    for (const [index, port] of (spec.ports ?? []).entries()) {
      const old = oldSpec?.ports?.find(
        (candidate) => candidate.port === port.port && (candidate.protocol ?? "TCP") === (port.protocol ?? "TCP"),
      );
      if ((port.nodePort ?? 0) === 0 && old?.nodePort !== undefined) port.nodePort = old.nodePort;
      if ((port.nodePort ?? 0) === 0) port.nodePort = this.#freePort(port.protocol, taken);
      else if (!before.has(portKey(port.protocol, port.nodePort))) {
        const { nodePort = 0 } = port;
        const isInRange = nodePort >= firstNodePort && nodePort <= lastNodePort;
        if (!isInRange || taken.has(portKey(port.protocol, nodePort)))
          throw refused(
            service,
            `spec.ports[${index}].nodePort`,
            nodePort,
            isInRange
              ? "provided port is already allocated"
              : `provided port is not in the valid range. The range of valid ports is ${firstNodePort}-${lastNodePort}`,
          );
      }
      taken.add(portKey(port.protocol, port.nodePort));
      this.#hold(portKey(port.protocol, port.nodePort), held);
    }
  }

  #freePort(protocol: string | undefined, taken: ReadonlySet<string>): number {
    const count = lastNodePort - firstNodePort + 1;
    const start = Math.floor(this.#random() * count);
    for (let step = 0; step < count; step++) {
      const port = firstNodePort + ((start + step) % count);
      if (!taken.has(portKey(protocol, port))) return port;
    }
    throw userError("range-full", "failed to allocate a nodePort: range is full", {
      hint: "delete Services of type NodePort that are not needed",
    });
  }

  #hold(entry: string, held: string[]): void {
    this.#held.add(entry);
    held.push(entry);
  }

  #takenAddresses(): Set<string> {
    return this.#taken(({ clusterIP }) => (clusterIP === undefined ? [] : [clusterIP]));
  }

  #taken(read: (spec: ServiceSpec) => string[]): Set<string> {
    const taken = new Set(this.#held);
    for (const record of this.#store.collection("/services").list()) {
      for (const entry of read(record.object["spec"] ?? {})) taken.add(entry);
    }
    return taken;
  }
}

export function hasNodePorts({
  type,
  allocateLoadBalancerNodePorts,
}: Pick<ServiceSpec, "type" | "allocateLoadBalancerNodePorts">): boolean {
  return type === "NodePort" || (type === "LoadBalancer" && allocateLoadBalancerNodePorts !== false);
}

function refused({ metadata }: UntypedObject, field: string, value: unknown, why: string): Error {
  return invalid({ group: "", kind: "Service" }, metadata.name ?? "", [fieldErrors.invalid(field, value, why)]);
}

/**
 * Refuses IPv6, because the lab has only IPv4. Two exceptions: a headless Service without a selector may have any
 * family, and values that an earlier release stored stay valid.
 */
function checkFamilies(service: UntypedObject, spec: ServiceSpec, old: ServiceSpec | undefined): void {
  const isAnywhere = spec.clusterIP === "None" && Object.keys(spec.selector ?? {}).length === 0;
  if (spec.type === "ExternalName" || isAnywhere) return;
  if (spec.ipFamilyPolicy === "RequireDualStack" && old?.ipFamilyPolicy !== spec.ipFamilyPolicy)
    throw refused(
      service,
      "spec.ipFamilyPolicy",
      spec.ipFamilyPolicy,
      "Cluster is not configured for dual-stack services",
    );
  for (const [index, family] of (spec.ipFamilies ?? []).entries())
    if (family !== "IPv4" && old?.ipFamilies?.includes(family) !== true)
      throw refused(service, `spec.ipFamilies[${index}]`, family, "not configured on this cluster");
}

function portKey(protocol: string | undefined, port: number | undefined): string {
  return `${protocol ?? "TCP"}:${port ?? 0}`;
}

function numberOf(address: string): number {
  return address.split(".").reduce((value, part) => value * 256 + Number(part), 0) >>> 0;
}

function textOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
}
