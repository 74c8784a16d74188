import { messageOf, type Logger } from "../../base/index.ts";
import { bindUdpInNamespace, closeDescriptor, listenTcpInNamespace } from "../../net/index.ts";
import type { ZdsListenerRole } from "../../wire/zds/index.ts";
import type { ProxyPorts } from "./pod-context.ts";
import type { PassedListener } from "./served-pods.ts";

const tcpRoles = ["outbound", "inbound-plaintext", "inbound-hbone"] as const;

/**
 * Opens a pod's sockets if no agent passes them. The sockets share their ports (SO_REUSEPORT), so an older ztunnel can
 * keep its own open.
 */
export function openListeners(
  namespaceFd: number | undefined,
  ports: ProxyPorts,
  log: Logger,
): readonly PassedListener[] {
  const portOf = {
    outbound: ports.outbound,
    "inbound-plaintext": ports.inboundPlaintext,
    "inbound-hbone": ports.hbone,
  };
  const made: PassedListener[] = [];
  const open = (role: ZdsListenerRole, make: () => number, required: boolean) => {
    try {
      made.push({ role, fd: make() });
    } catch (error) {
      if (required) {
        for (const { fd } of made) closeDescriptor(fd);
        throw error;
      }
      // This is expected, for example if the namespace has no IPv6.
      log.debug("a listener is not opened", { role, error: messageOf(error) });
    }
  };
  for (const role of tcpRoles) {
    const options = { port: portOf[role], reusePort: true };
    open(role, () => listenTcpInNamespace(namespaceFd, { address: "0.0.0.0", ...options }), true);
    open(`${role}/6`, () => listenTcpInNamespace(namespaceFd, { address: "::", ...options }), false);
  }
  const dns = { port: ports.dns, reusePort: true };
  open("dns-udp", () => bindUdpInNamespace(namespaceFd, { address: "127.0.0.1", ...dns }), false);
  open("dns-udp/6", () => bindUdpInNamespace(namespaceFd, { address: "::1", ...dns }), false);
  open("dns-tcp", () => listenTcpInNamespace(namespaceFd, { address: "127.0.0.1", ...dns }), false);
  open("dns-tcp/6", () => listenTcpInNamespace(namespaceFd, { address: "::1", ...dns }), false);
  return made;
}
