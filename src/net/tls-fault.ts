import type { SerinError } from "../base/index.ts";

const tlsFaults = new WeakSet<SerinError>();

/** Marks an error as one of TLS. */
export function tlsFault(error: SerinError): SerinError {
  tlsFaults.add(error);
  return error;
}

/** Whether a handshake or a secured connection failed with this error. Its code may be that of the network's fault. */
export function isTlsFault(error: SerinError): boolean {
  return tlsFaults.has(error);
}
