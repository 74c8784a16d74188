import type { FieldIssue } from "../../parsed.ts";
import { isAuthority } from "../expressions/http-headers.ts";
import { virtualServiceKind, type VirtualService } from "./virtual-service.ts";

/** A spec that is used although the stored one has faults. The faults are corrected in it. */
export interface Corrected<Spec> {
  readonly spec: Spec;
  /** The faults. Each message also says what proxies do until the fault is corrected. */
  readonly issues: readonly FieldIssue[];
}

/** The path of the field of a header that a route, or a route's destination, sets or adds. */
const changedHeader =
  /^spec\.http\[(?<route>\d+)\](?:\.route\[(?<destination>\d+)\])?\.headers\.(?<side>request|response)\.(?<operation>set|add)\.(?<name>.+)$/s;

/**
 * The spec of a stored VirtualService in which only values of headers are at fault, with these values as plain text. A
 * value that is invalid even as plain text becomes empty, which means that proxies do not change the header. Undefined
 * if another field is at fault. Earlier releases accepted such values, and an upgrade must not remove the routes that
 * have them.
 */
export function withCorrectedHeaders(
  object: VirtualService,
  issues: readonly FieldIssue[],
): Corrected<VirtualService["spec"]> | undefined {
  const copy = structuredClone(object);
  if (!issues.every((issue) => replaceValue(copy, issue, textOf))) return undefined;
  const asText = virtualServiceKind.parse?.(copy);
  const left = asText?.errors ?? [];
  if (!left.every((issue) => replaceValue(copy, issue, () => ""))) return undefined;
  const corrected = left.length === 0 ? asText : virtualServiceKind.parse?.(copy);
  if (corrected?.value === undefined) return undefined;
  return { spec: corrected.value.spec, issues: issues.map((issue) => withConsequence(issue, copy)) };
}

/**
 * Escapes a faulty value. It keeps the value, because a client could send a value of its own if the route did not set
 * the header. It does not look for the faulty part, because checking an expression may take long. An authority becomes
 * empty, because proxies send it as written, so its percent signs cannot be escaped.
 */
function textOf(value: string, name: string): string {
  return isAuthority(name) ? "" : value.replaceAll("%", "%%");
}

/** Replaces the value that an issue is about. Returns false if the issue is not about the value of a header. */
function replaceValue(
  object: VirtualService,
  issue: FieldIssue,
  replacement: (value: string, name: string) => string,
): boolean {
  const found = headerAt(object, issue);
  if (found === undefined) return false;
  found.values[found.name] = replacement(found.value, found.name);
  return true;
}

function withConsequence({ path, message }: FieldIssue, corrected: VirtualService): FieldIssue {
  const isEmpty = headerAt(corrected, { path })?.value === "";
  return {
    path,
    message: `${message}; until then, proxies ${isEmpty ? "leave the header as it is" : "send the value as text"}`,
  };
}

interface FoundHeader {
  readonly values: Record<string, unknown>;
  readonly name: string;
  readonly value: string;
}

function headerAt({ spec }: VirtualService, { path }: Pick<FieldIssue, "path">): FoundHeader | undefined {
  const { route, destination, side, operation, name } = changedHeader.exec(path)?.groups ?? {};
  if (name === undefined) return undefined;
  const steps = [
    "http",
    route,
    ...(destination === undefined ? [] : ["route", destination]),
    "headers",
    side,
    operation,
  ];
  let holder: unknown = spec;
  for (const step of steps) holder = own(holder, step ?? "");
  const value = own(holder, name);
  return typeof value === "string" ? { values: holder as Record<string, unknown>, name, value } : undefined;
}

/**
 * Reads a member of a stored object. The object is untrusted, so the name may be one that all JavaScript objects
 * inherit, such as `constructor`.
 */
function own(holder: unknown, name: string): unknown {
  return typeof holder === "object" && holder !== null && Object.hasOwn(holder, name)
    ? (holder as Record<string, unknown>)[name]
    : undefined;
}
