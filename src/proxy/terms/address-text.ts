import type { SocketAddress } from "../../net/index.ts";

/** Envoy's form: `10.0.0.1:80`, `[::1]:80`. */
export function addressText({ address, port }: SocketAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
