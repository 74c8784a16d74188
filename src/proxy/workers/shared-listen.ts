import { userError } from "../../base/index.ts";
import { listenTcp, type SocketAddress } from "../../net/index.ts";
import type { Listen } from "../listen.ts";

/**
 * Listens on addresses that other workers listen on too (SO_REUSEPORT). The kernel gives each connection to one of
 * them. It would also let two listeners of one worker share an address, so this function refuses that.
 */
export function sharedListen(): Listen {
  const held = new Set<SocketAddress>();
  return async (options, accept) => {
    const { address, port } = options;
    const wanted = { address, port };
    for (const other of held)
      if (port !== 0 && overlaps(other, wanted))
        throw userError(
          "address-in-use",
          `listen on ${address}:${port}: EADDRINUSE, another listener of this proxy has ${other.address}:${other.port}`,
        );
    held.add(wanted);
    try {
      const listener = await listenTcp({ ...options, reusePort: true }, accept);
      return {
        ...listener,
        close: () => {
          held.delete(wanted);
          listener.close();
        },
      };
    } catch (error) {
      held.delete(wanted);
      throw error;
    }
  };
}

function overlaps(left: SocketAddress, right: SocketAddress): boolean {
  if (left.port !== right.port) return false;
  if (left.address === right.address || left.address === "::" || right.address === "::") return true;
  const sameFamily = left.address.includes(":") === right.address.includes(":");
  return sameFamily && (left.address === "0.0.0.0" || right.address === "0.0.0.0");
}
