import type { Reader } from "../reader.ts";
import { readPortNumber, readText, refuseUnknown, requireText } from "./fields.ts";

/** A service that requests go to. */
export interface Destination {
  /** As written: a short name means one of the namespace of the object that says it. */
  readonly host: string;
  /** Of a DestinationRule of that host. */
  readonly subset?: string | undefined;
  /** Absent: the only port of the service, else the port of the request. */
  readonly port?: { readonly number: number } | undefined;
}

/** One of several destinations of a route. */
export interface RouteDestination {
  readonly destination: Destination;
  /** Relative to the sum of all; the only destination of a route gets all whatever its weight. */
  readonly weight: number;
}

export function readDestination(reader: Reader, field: string): Destination | undefined {
  const nested = reader.object(field);
  return nested === undefined ? undefined : readDestinationIn(nested);
}

function readDestinationIn(reader: Reader): Destination {
  const port = reader.object("port");
  const destination = {
    host: requireText(reader, "host"),
    subset: readText(reader, "subset"),
    port: port === undefined ? undefined : { number: port.required("number", readPortNumber(port, "number")) ?? 0 },
  };
  refuseUnknown(port);
  refuseUnknown(reader);
  return destination;
}

/** The destination of one of a route's; an error when it is absent. */
export function requireDestination(reader: Reader): Destination {
  const destination = reader.required("destination", readDestination(reader, "destination"));
  return destination ?? { host: "" };
}
