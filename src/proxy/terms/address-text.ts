import { joinHostPort } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";

/** The text of an address as Envoy writes it: `10.0.0.1:80` or `[::1]:80`. */
export function addressText({ address, port }: SocketAddress): string {
  return joinHostPort(address, port);
}

/** Our end of a connection to an endpoint. All requests of the connection share this object. */
export class UpstreamEnd {
  readonly address: SocketAddress;
  /** The part that the access log lines of the connection's requests share. The log format stores it here. */
  logPart?: object;

  constructor(address: SocketAddress) {
    this.address = address;
  }

  get text(): string {
    return keptAddressText(this.address);
  }
}

const texts = new WeakMap<SocketAddress, string>();

/** Like {@link addressText}, but computed only once for each address object, which lives as long as its connection. */
export function keptAddressText(address: SocketAddress): string {
  let text = texts.get(address);
  // Convert to bytes and back to get a flat string, which is copied faster than a concatenated one.
  if (text === undefined) texts.set(address, (text = Buffer.from(addressText(address), "latin1").toString("latin1")));
  return text;
}
