import type { SocketAddress } from "../../net/index.ts";

const texts = new WeakMap<SocketAddress, string>();

/** `address:port`, made once for each connection, whose end is one object as long as it lives. */
export function addressText(address: SocketAddress): string {
  let text = texts.get(address);
  // By way of bytes it is one piece of memory, which is copied faster than what was joined.
  if (text === undefined) texts.set(address, (text = Buffer.from(`${address.address}:${address.port}`, "latin1").toString("latin1")));
  return text;
}
