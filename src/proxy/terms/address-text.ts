import { joinHostPort } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";

/** Envoy's form: `10.0.0.1:80`, `[::1]:80`. */
export function addressText({ address, port }: SocketAddress): string {
  return joinHostPort(address, port);
}

/** Our end of a connection to an endpoint. All requests of the connection share one object. */
export class UpstreamEnd {
  readonly address: SocketAddress;
  /** What the access log lines of the connection's requests have in common. The log format stores it here. */
  logPart?: object;

  constructor(address: SocketAddress) {
    this.address = address;
  }

  get text(): string {
    return keptAddressText(this.address);
  }
}

const texts = new WeakMap<SocketAddress, string>();

/**
 * {@link addressText}, computed once for each address object of a connection. The object lives as long as the
 * connection.
 */
export function keptAddressText(address: SocketAddress): string {
  let text = texts.get(address);
  // Converting to bytes and back makes a flat string, which is copied faster than a concatenated one.
  if (text === undefined) texts.set(address, (text = Buffer.from(addressText(address), "latin1").toString("latin1")));
  return text;
}
