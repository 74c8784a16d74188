import { bindUdpInNamespace, closeDescriptor, isSystemCode, listenTcpInNamespace, RouteNetlink } from "../net/index.ts";
import { zdsListenerRoles, type ZdsListenerRole } from "../wire/zds/index.ts";
import { ztunnelPorts } from "./capture-rules.ts";

/** A listening socket inside a pod. The agent opens it once and shares it with the ztunnel that owns the pod. */
export interface PodSocket {
  readonly role: ZdsListenerRole;
  readonly fd: number;
}

interface SocketPlan {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  /**
   * Whether the socket listens on loopback, where redirected outbound traffic arrives. Redirected inbound traffic
   * arrives on the pod's addresses.
   */
  readonly loopback: boolean;
}

const plans: Readonly<Record<string, SocketPlan>> = {
  outbound: { protocol: "tcp", port: ztunnelPorts.outbound, loopback: true },
  "inbound-plaintext": { protocol: "tcp", port: ztunnelPorts.inboundPlaintext, loopback: false },
  "inbound-hbone": { protocol: "tcp", port: ztunnelPorts.inboundHbone, loopback: false },
  "dns-udp": { protocol: "udp", port: ztunnelPorts.dns, loopback: true },
  "dns-tcp": { protocol: "tcp", port: ztunnelPorts.dns, loopback: true },
};

/**
 * Opens all sockets of a pod, or none. Throws an error with code `address-in-use` while a ztunnel still has them open.
 */
export function openPodSockets(namespaceFd: number): PodSocket[] {
  setLoopbackUp(namespaceFd);
  const opened: PodSocket[] = [];
  try {
    for (const role of zdsListenerRoles) {
      const fd = openSocket(namespaceFd, role);
      if (fd !== undefined) opened.push({ role, fd });
    }
    return opened;
  } catch (error) {
    closePodSockets(opened);
    throw error;
  }
}

/**
 * Brings the loopback interface up. Normally the runtime does this, but containerd uses a separate plugin, and may call
 * it last. Without the interface, no socket can have the address 127.0.0.1, and a pod with IPv6 looks like one without.
 */
function setLoopbackUp(namespaceFd: number): void {
  using links = new RouteNetlink(namespaceFd);
  links.setLoopbackUp();
}

export function closePodSockets(sockets: readonly PodSocket[]): void {
  for (const { fd } of sockets) closeDescriptor(fd);
}

/** Opens a pod's socket for this role. Returns undefined for an IPv6 role if the pod has no IPv6. */
function openSocket(namespaceFd: number, role: ZdsListenerRole): number | undefined {
  const [name = "", six] = role.split("/");
  const plan = plans[name];
  if (plan === undefined) return undefined;
  const any = six === undefined ? "0.0.0.0" : "::";
  const loopback = six === undefined ? "127.0.0.1" : "::1";
  // Do not set IP_TRANSPARENT. Suppose that a client uses one of its ports for two ports of the pod, and both are
  // redirected to one socket. The kernel then gives the second connection another source port, after it has looked up
  // the socket of each packet. It repeats the look-up unless the first result is a transparent socket. With a
  // transparent socket, packets of the second connection would reach the first connection, and the second would never
  // open.
  const options = { address: plan.loopback ? loopback : any, port: plan.port };
  try {
    return plan.protocol === "tcp"
      ? listenTcpInNamespace(namespaceFd, options)
      : bindUdpInNamespace(namespaceFd, options);
  } catch (error) {
    if (six !== undefined && isSystemCode(error, "EAFNOSUPPORT", "EADDRNOTAVAIL")) return undefined;
    throw error;
  }
}
