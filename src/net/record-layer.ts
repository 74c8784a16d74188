import { libuvBinding, type JsStreamHandle } from "./libuv-binding.ts";
import { hasRecordCiphers } from "./record-cipher.ts";

/**
 * Serin's environment variable for the records of HBONE. With the value `node`, Node's TLS protects them. Otherwise
 * Serin's own code does, if it can.
 */
export const tlsRecordsVariable = "SERIN_TLS_RECORDS";

/** What protects the records of HBONE: `own` is Serin's code. The other values mean Node's TLS, and name the reason. */
export type RecordLayer = "own" | "switched off" | "unavailable";

let chosen: RecordLayer | undefined;

/**
 * What protects the records of this thread's connections. The first call decides it for all later ones, and may take a
 * few milliseconds.
 */
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

export function describeRecordLayer(layer: RecordLayer): string {
  return descriptions[layer];
}

/** A connection in memory for a handshake. Undefined if Node's TLS is to protect the records. */
export function recordMemory(): JsStreamHandle | undefined {
  return recordLayer() === "own" ? libuvBinding()?.newJsStream?.() : undefined;
}
