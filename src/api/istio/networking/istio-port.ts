import type { Reader } from "../../reader.ts";
import { readPortNumber, readText, refuseUnknown } from "../fields.ts";

export interface IstioPort {
  /** 0 only if the bind address is a Unix domain socket. */
  readonly number: number;
  /** The protocol in upper case, one of `protocols`. Absent means that the proxy detects it. */
  readonly protocol?: string | undefined;
  readonly name?: string | undefined;
  readonly targetPort?: number | undefined;
}

export function readIstioPort(reader: Reader, { allowZero = false } = {}): IstioPort {
  const isZero = allowZero && (reader.integer("number", 0) ?? 0) === 0;
  const port = {
    number: isZero ? 0 : (reader.required("number", readPortNumber(reader, "number")) ?? 0),
    protocol: readText(reader, "protocol")?.toUpperCase(),
    name: readText(reader, "name"),
    targetPort: reader.integer("targetPort", 0) === 0 ? undefined : readPortNumber(reader, "targetPort"),
  };
  refuseUnknown(reader);
  return port;
}
