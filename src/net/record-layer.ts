import { libuvBinding, type JsStreamHandle } from "./libuv-binding.ts";
import { hasRecordCiphers } from "./record-cipher.ts";

/**
 * An environment variable of Serin. With the value `node`, Node's TLS protects the records of HBONE. Otherwise Serin's
 * own code does so, if it can.
 */
export const tlsRecordsVariable = "SERIN_TLS_RECORDS";

/** What protects the records of HBONE. `own` is Serin's code. The other values mean Node's TLS, and say why. */
export type RecordLayer = "own" | "switched off" | "unavailable";

let chosen: RecordLayer | undefined;

/**
 * Returns what protects the records. The first call decides this for all later connections of the thread, which may
 * take a few milliseconds.
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

/** A text about the record layer, for the log. */
export function describeRecordLayer(layer: RecordLayer): string {
  return descriptions[layer];
}

/** A connection in memory for a handshake. Undefined if Node's TLS protects the records. */
export function recordMemory(): JsStreamHandle | undefined {
  return recordLayer() === "own" ? libuvBinding()?.newJsStream?.() : undefined;
}
