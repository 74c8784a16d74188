import { cidrOf, isAddress } from "../../base/index.ts";
import type { Labels } from "../label-selector.ts";
import type { Reader } from "../reader.ts";
import { domainFault, isDnsLabel } from "./domain-names.ts";
import { isKnownProtocol, protocols } from "./protocols.ts";

const labelValuePattern = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const labelKeyPattern =
  /^([a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)*\/)?((?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$/;
const maxLabelName = 63;
const maxLabelPrefix = 253;

/** Calls the function for each string of the list, and reports the fault that it returns, at the string's index. */
export function checkEach(
  reader: Reader,
  field: string,
  values: readonly string[],
  fault: (value: string) => string | undefined,
): void {
  for (const [index, value] of values.entries()) {
    const message = fault(value);
    if (message !== undefined) reader.error(message, `${field}[${index}]`);
  }
}

export function emptyFault(value: string): string | undefined {
  return value === "" ? "must not be empty" : undefined;
}

export function addressFault(text: string): string | undefined {
  return isAddress(text) ? undefined : `must be an IP address, got "${text}"`;
}

/**
 * The fault of a text that is neither an address nor a range of addresses in CIDR notation. Undefined if it is one of
 * them.
 */
export function subnetFault(text: string): string | undefined {
  return cidrOf(text) === undefined ? `must be an IP address or a CIDR such as 10.1.0.0/16, got "${text}"` : undefined;
}

export function domainOrAddressFault(text: string): string | undefined {
  if (isAddress(text) || domainFault(text) === undefined) return undefined;
  return `must be a DNS name or an IP address, got "${text}"`;
}

export const unixPrefix = "unix://";
/**
 * The maximum number of bytes of a Unix socket's path. If a path is longer, Envoy rejects all endpoints that are sent
 * together with it.
 */
const maxUnixPathBytes = 107;

/**
 * The part after `unix://` must be an absolute path, or `@` and an abstract name. It must not be longer than the kernel
 * allows.
 */
export function unixPathFault(path: string): string | undefined {
  if (path.includes("\0")) return "must not have a zero byte in the path of a socket";
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > maxUnixPathBytes)
    return `must have at most ${maxUnixPathBytes} bytes after unix://, got ${bytes}. Choose a shorter path`;
  if (path.startsWith("@")) return undefined;
  return path.startsWith("/") && !path.endsWith("/")
    ? undefined
    : `must be an absolute path of a socket after unix://, or "@" and a name, got "${path}"`;
}

export function checkLabels(reader: Reader, field: string, labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    const [, prefix = "", name = ""] = labelKeyPattern.exec(key) ?? [];
    if (name === "" || name.length > maxLabelName || prefix.length > maxLabelPrefix + 1)
      reader.error(`must be the key of a label, got "${key}"`, `${field}.${key}`);
    if (value.length > maxLabelName || !labelValuePattern.test(value))
      reader.error(`must be the value of a label, got "${value}"`, `${field}.${key}`);
  }
}

/**
 * Checks labels that select workloads, and rejects wildcards in them. Warns of an empty selector, because it selects
 * the whole namespace.
 */
export function checkSelectorLabels(reader: Reader, field: string, labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (key === "") reader.error("must not have an empty key", field);
    if (key.includes("*") || value.includes("*"))
      reader.error(
        `must not have wildcards, got "${key}=${value}"; name one value, or remove the label`,
        `${field}.${key}`,
      );
  }
  if (Object.keys(labels).length === 0)
    reader.warn("has no labels, so it selects all workloads of the namespace", field);
}

export function checkProtocol(reader: Reader, field: string, protocol: string | undefined): void {
  if (protocol !== undefined && !isKnownProtocol(protocol))
    reader.error(`must be one of ${protocols.join(", ")}, got "${protocol}"`, field);
}

export function checkPortName(reader: Reader, field: string, name: string): void {
  if (!isDnsLabel(name)) reader.error(`must be the name of a port (letters, digits and dashes), got "${name}"`, field);
}

export interface ExportToRules {
  readonly namespace: string;
  /** Whether `~` (no namespace) is allowed, as it is for services only. */
  readonly allowNobody?: boolean;
  /** Whether the object only applies to clients in its own namespace. Then no other namespace needs to see it. */
  readonly ownNamespaceOnly?: boolean;
}

/** Reads `exportTo`: `.` (its own namespace), `*` (all) or names of namespaces. */
export function readExportTo(reader: Reader, rules: ExportToRules): readonly string[] {
  const entries = reader.strings("exportTo");
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const field = `exportTo[${index}]`;
    const resolved = entry === "." ? rules.namespace : entry;
    if (seen.has(resolved)) reader.error(`appears twice, got "${entry}"; remove one`, field);
    seen.add(resolved);
    const isNobody = entry === "~" && rules.allowNobody === true;
    if (entry !== "." && entry !== "*" && !isNobody && !isDnsLabel(entry))
      reader.error(`must be ".", "*" or the name of a namespace, got "${entry}"`, field);
    if ((entry === "*" || isNobody) && entries.length > 1)
      reader.error(`must be the only entry, got "${entry}" with others`, field);
    if (rules.ownNamespaceOnly === true && resolved !== rules.namespace)
      reader.error(`must be "." beside a workloadSelector, got "${entry}"`, field);
  }
  return entries;
}

export function checkGatewayNames(reader: Reader, field: string, names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    const [namespace = "", gateway, ...rest] = name.split("/");
    const at = `${field}[${index}]`;
    if (gateway === undefined) {
      if (domainFault(name) !== undefined)
        reader.error(`must be a gateway's name, or namespace/name, got "${name}"`, at);
      else if (name.includes("."))
        reader.warn(
          `is a deprecated form; write "${name.split(".")[1] ?? ""}/${name.split(".")[0] ?? ""}" instead of "${name}"`,
          at,
        );
    } else if (rest.length > 0 || !isDnsLabel(namespace) || !isDnsLabel(gateway)) {
      reader.error(`must be a gateway's name, or namespace/name, got "${name}"`, at);
    }
  }
}
