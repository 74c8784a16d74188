import type { Condition } from "../meta.ts";
import type { Reader } from "../reader.ts";
import { readPortNumber } from "../istio/fields.ts";

export const gatewayGroup = "gateway.networking.k8s.io";

export interface ParentReference {
  group: string;
  kind: string;
  namespace?: string | undefined;
  name: string;
  sectionName?: string | undefined;
  port?: number | undefined;
}

/** The destination of traffic. The group is empty for core. */
export interface BackendObjectReference {
  group: string;
  kind: string;
  name: string;
  namespace?: string | undefined;
  port?: number | undefined;
}

export interface WeightedBackendReference extends BackendObjectReference {
  weight: number;
}

export interface RouteParentStatus {
  parentRef: ParentReference;
  controllerName: string;
  conditions: Condition[];
}

const maxWeight = 1_000_000;
const label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const sectionNamePattern = new RegExp(`^${label}(\\.${label})*$`);
const hostnamePattern = new RegExp(`^(\\*\\.)?${label}(\\.${label})*$`);
const ipv4Pattern = /^\d+\.\d+\.\d+\.\d+$/;
const maxHostnameLength = 253;

export function readParentReference(reader: Reader): ParentReference {
  const parent: ParentReference = {
    group: reader.string("group") ?? gatewayGroup,
    kind: reader.string("kind") ?? "Gateway",
    name: reader.required("name", reader.string("name")) ?? "",
    namespace: reader.string("namespace"),
    sectionName: reader.string("sectionName"),
    port: readPortNumber(reader, "port"),
  };
  warnOfUnknown(reader);
  return parent;
}

export function readBackendObjectReference(reader: Reader): BackendObjectReference {
  const backend: BackendObjectReference = {
    group: reader.string("group") ?? "",
    kind: reader.string("kind") ?? "Service",
    name: reader.required("name", reader.string("name")) ?? "",
    namespace: reader.string("namespace"),
    port: readPortNumber(reader, "port"),
  };
  if (backend.kind === "Service" && backend.group === "" && backend.port === undefined && !reader.has("port")) {
    reader.error("is required for a Service", "port");
  }
  return backend;
}

export function readWeightedReference(reader: Reader): WeightedBackendReference {
  return { ...readBackendObjectReference(reader), weight: reader.integer("weight", 0, maxWeight) ?? 1 };
}

/** Reads an exact or wildcard (`*.`) DNS name in lower case. Addresses are rejected. */
export function readHostname(reader: Reader, field: string): string | undefined {
  const value = reader.string(field);
  if (value === undefined || value === "") return undefined;
  checkHostname(value, (message) => reader.error(message, field));
  return value;
}

export function checkHostname(value: string, report: (message: string) => void): void {
  if (value.length > maxHostnameLength || !hostnamePattern.test(value))
    report(`must be a DNS name in lower case, at most with a first label "*", got "${value}"`);
  else if (ipv4Pattern.test(value)) report(`must be a DNS name, not an address, got "${value}"`);
}

export function checkSectionName(value: string, report: (message: string) => void): void {
  if (value.length > maxHostnameLength || !sectionNamePattern.test(value))
    report(`must be lower-case letters, digits, dashes and single dots, got "${value}"`);
}

/** Warns of unknown fields and drops them. They may be newer than this release, so the object is still accepted. */
export function warnOfUnknown(reader: Reader): void {
  reader.unknownFields((field) => reader.warnNoEffect("is not known and has no effect", field));
}

export function warnOfUnused(reader: Reader, field: string): void {
  if (reader.has(field)) reader.warnNoEffect("is not supported and has no effect", field);
}

export function readStrings(reader: Reader, field: string): string[] {
  return [...reader.strings(field)];
}
