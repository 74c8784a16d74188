import type { Reader } from "../reader.ts";
import { readPortNumber, readText, refuseUnknown } from "./fields.ts";

/** A port as Gateways, ServiceEntries and Sidecars write it. */
export interface IstioPort {
  readonly number: number;
  /** In upper case: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, MYSQL, REDIS, TCP, TLS, UDP, HBONE. Absent: told by the name. */
  readonly protocol?: string | undefined;
  readonly name?: string | undefined;
  readonly targetPort?: number | undefined;
}

export function readIstioPort(reader: Reader): IstioPort {
  const port = {
    number: reader.required("number", readPortNumber(reader, "number")) ?? 0,
    protocol: readText(reader, "protocol")?.toUpperCase(),
    name: readText(reader, "name"),
    targetPort: reader.integer("targetPort", 0) === 0 ? undefined : readPortNumber(reader, "targetPort"),
  };
  refuseUnknown(reader);
  return port;
}
