import { libuvBinding, type JsStreamHandle } from "./libuv-binding.ts";
import { hasRecordCiphers } from "./record-cipher.ts";

/**
 * Serin's own variable. `node` leaves the records of HBONE to Node's TLS. Otherwise they are protected here where that
 * is possible.
 */
export const tlsRecordsVariable = "SERIN_TLS_RECORDS";

/** Who protects the records of HBONE: `own` is this program, the others are Node's TLS. */
export type RecordLayer = "own" | "switched off" | "unavailable";

let chosen: RecordLayer | undefined;

/** Decides on the first call, which may take a few milliseconds. All later connections of the thread use the result. */
export function recordLayer(): RecordLayer {
  chosen ??= chooseRecordLayer(process.env[tlsRecordsVariable]);
  return chosen;
}

export function chooseRecordLayer(setting: string | undefined): RecordLayer {
  if (setting === "node") return "switched off";
  return libuvBinding()?.newJsStream !== undefined && hasRecordCiphers() ? "own" : "unavailable";
}

const descriptions: Readonly<Record<RecordLayer, string>> = {
  own: `the records of HBONE connections are protected by serin itself (${tlsRecordsVariable}=node leaves them to Node's TLS)`,
  "switched off": `the records of HBONE connections are protected by Node's TLS, because ${tlsRecordsVariable} is "node"`,
  unavailable:
    "the records of HBONE connections are protected by Node's TLS, because this Node, or its package koffi, lacks what serin needs to do it itself",
};

/** For the log. */
export function describeRecordLayer(layer: RecordLayer): string {
  return descriptions[layer];
}

/** A connection on memory for a handshake. Undefined if Node's TLS protects the records. */
export function recordMemory(): JsStreamHandle | undefined {
  return recordLayer() === "own" ? libuvBinding()?.newJsStream?.() : undefined;
}
