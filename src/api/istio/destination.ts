import type { Reader } from "../reader.ts";
import { isDnsLabel, wildcardDomainFault } from "./domain-names.ts";
import { readPortNumber, readText, refuseUnknown, requireText } from "./fields.ts";

/** A service that requests go to. */
export interface Destination {
  /** As written: a short name means one of the namespace of the object that says it. */
  readonly host: string;
  /** A subset of the host's DestinationRule. */
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

const maxInt32 = 2_147_483_647;
/** Envoy counts a list's weights in so many bits, and refuses the listener or table of one that has more. */
const maxUint32 = 4_294_967_295;

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
  if (destination.host !== "") checkHost(reader, destination.host);
  if (destination.subset !== undefined && !isDnsLabel(destination.subset))
    reader.error(`must be the name of a subset (letters, digits and dashes), got "${destination.subset}"`, "subset");
  refuseUnknown(port);
  refuseUnknown(reader);
  return destination;
}

function checkHost(reader: Reader, host: string): void {
  const fault = host === "*" ? 'must be the name of a service, got "*"' : wildcardDomainFault(host);
  if (fault !== undefined) reader.error(fault, "host");
}

const percent = 100;

/** Weights count relative to their sum; the only destination of a route needs none. */
export function checkWeights(reader: Reader, destinations: readonly RouteDestination[]): void {
  if (destinations.length < 2) return;
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) reader.error("must have a destination with a weight above 0", "route");
  else if (total > maxUint32)
    reader.error(`must have weights that sum up to ${maxUint32} at most, got ${total}; proxies refuse more`, "route");
  else if (total !== percent)
    reader.warn(`has weights that sum up to ${total}: each counts relative to that sum`, "route");
}

export function readWeight(reader: Reader): number {
  return reader.integer("weight", 0, maxInt32) ?? 0;
}

/** The destination of one of a route's; an error when it is absent. */
export function requireDestination(reader: Reader): Destination {
  const destination = reader.required("destination", readDestination(reader, "destination"));
  return destination ?? { host: "" };
}
