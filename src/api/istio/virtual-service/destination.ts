import type { Reader } from "../../reader.ts";
import { isDnsLabel, wildcardDomainFault } from "../domain-names.ts";
import { maxInt32, maxUint32, readPortNumber, readText, refuseUnknown, requireText } from "../fields.ts";

export interface Destination {
  /** The host as the user wrote it. A short name belongs to the object's namespace. */
  readonly host: string;
  readonly subset?: string | undefined;
  /** Absent means the service's only port, or the request's port if the service has several. */
  readonly port?: { readonly number: number } | undefined;
}

export interface RouteDestination {
  readonly destination: Destination;
  /** The weight relative to the sum of all weights. If a route has only one destination, it gets all traffic. */
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

/** Checks the weights, which are relative to their sum. A single destination needs no weight. */
export function checkWeights(reader: Reader, destinations: readonly RouteDestination[]): void {
  if (destinations.length < 2) return;
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) reader.error("must have a destination with a weight above 0", "route");
  // Envoy rejects a whole listener or route configuration if the sum of the weights exceeds 32 bits.
  else if (total > maxUint32)
    reader.error(`must have weights that sum up to at most ${maxUint32}, got ${total}; proxies refuse more`, "route");
  else if (total !== percent)
    reader.warn(`has weights that sum up to ${total}: each counts relative to that sum`, "route", "relative-weights");
}

export function readWeight(reader: Reader): number {
  return reader.integer("weight", 0, maxInt32) ?? 0;
}

export function requireDestination(reader: Reader): Destination {
  const destination = reader.required("destination", readDestination(reader, "destination"));
  return destination ?? { host: "" };
}
