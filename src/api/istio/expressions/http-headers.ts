import { formatFault, lengthFault, type FormatPlace } from "../../../base/command-operators/index.ts";
import { truncated } from "../../../base/index.ts";
import type { Reader } from "../../reader.ts";
import { envoyCelFault } from "./envoy-expression.ts";
import { readText } from "../fields.ts";

// Checks of header names and values. Each `…Fault` returns why a proxy does not accept the text, or undefined if it
// does.

const tokenPattern = /^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/;
const strictPattern = /^[-_A-Za-z0-9]+$/;
/** The maximum number of characters that a message shows of a wrong name. */
export const maxShown = 100;
const maxParameterBytes = 1024;
const pseudoHeaders = [":method", ":scheme", ":authority", ":path", ":status"];

export function headerNameFault(name: string): string | undefined {
  return tokenPattern.test(name) ? undefined : `must be the name of a header, got "${truncated(name, maxShown)}"`;
}

/** The fault of the name of a header whose value a span's tag shows. Pseudo-headers are allowed. */
export function taggedHeaderFault(name: string): string | undefined {
  return isPseudoHeader(name) ? undefined : headerNameFault(name);
}

/**
 * The fault of a header whose value decides which endpoint gets a request. Accepts every name without a line break, as
 * Envoy does. If it were stricter, a rule that works with upstream would be rejected here as a whole.
 */
export function hashedHeaderFault(name: string): string | undefined {
  return /[\0\r\n]/.test(name) ? headerNameFault(name) : undefined;
}

export function isNoHeader(name: string): boolean {
  return taggedHeaderFault(name) !== undefined;
}

function isPseudoHeader(name: string): boolean {
  return pseudoHeaders.includes(name.toLowerCase());
}

/** The fault of the name of a cookie, or of a cookie's attribute. A proxy writes both into a header's value. */
export function cookieNameFault(name: string): string | undefined {
  return literalValueFault(name);
}

/** Whether the text can be the name of a cookie that all clients accept and send back. */
export function isCookieName(name: string): boolean {
  return tokenPattern.test(name);
}

/**
 * The fault of a query parameter's name in a match. For such a name, an Envoy would reject the routes of all namespaces
 * at a gateway's port.
 */
export function parameterNameFault(name: string): string | undefined {
  if (name === "") return "must be the name of a parameter, got an empty one";
  return new TextEncoder().encode(name).length > maxParameterBytes
    ? `must be the name of a parameter of at most ${maxParameterBytes} bytes`
    : undefined;
}

/** The fault of a name that may only have letters, digits, dashes and underscores. */
export function strictHeaderNameFault(name: string): string | undefined {
  return strictPattern.test(name)
    ? undefined
    : `must be the name of a header of letters, digits, "-" and "_", got "${name}"`;
}

/**
 * The fault of a header's name in a match. It may be a pseudo-header, or a token's claim
 * (`@request.auth.claims.group`).
 */
export function matchedHeaderFault(name: string): string | undefined {
  return isClaim(name) || pseudoHeaders.includes(name) ? undefined : headerNameFault(name);
}

export function isClaim(name: string): boolean {
  return /^@request\.auth\.claims(\..+|(\[[^[\]]*\])+)$/i.test(name);
}

export function isAuthority(name: string): boolean {
  return /^(:authority|host)$/i.test(name);
}

/** The fault of a header to add or set on a request. The only pseudo-header allowed is the authority. */
export function requestHeaderFault(name: string): string | undefined {
  return isAuthority(name) ? undefined : changedHeaderFault(name);
}

/** The fault of a header to remove, or to change on a response. */
export function changedHeaderFault(name: string): string | undefined {
  if (name === "") return "must be the name of a header, got an empty name";
  if (/^host$/i.test(name)) return "must not be Host; use rewrite.authority";
  return name.startsWith(":") ? `must not be a pseudo header, got "${name}"` : headerNameFault(name);
}

/** The fault of a header's value without variables. */
export function literalValueFault(value: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are not allowed in a header
  if (/[\u0000-\u0008\u000A-\u001F\u007F]/.test(value)) return "must not have control characters";
  return lengthFault(value);
}

/**
 * Reports a text that a proxy does not accept. A proxy would reject a whole listener or route table for it, which may
 * contain the configuration of other objects too.
 */
export function checkText(
  reader: Reader,
  field: string,
  text: string | undefined,
  fault: (text: string) => string | undefined,
): void {
  const message = text === undefined || text === "" ? undefined : fault(text);
  if (message !== undefined) reader.error(message, field);
}

/** Reads a text that becomes a header, such as a path or an authority. */
export function readHeaderText(reader: Reader, field: string): string | undefined {
  const value = readText(reader, field);
  checkText(reader, field, value, literalValueFault);
  return value;
}

/**
 * The fault of a value that may contain `%VARIABLE%` or `%VARIABLE(argument)%`, where `%%` means a percent sign. If a
 * proxy cannot parse a variable or does not know it, it rejects the routes of the whole port.
 */
export function headerValueFault(value: string): string | undefined {
  return literalValueFault(value) ?? envoyFormatFault(value, "header");
}

/** Why some proxies do not accept a text with `%VARIABLE%` at the given place. Undefined if all accept it. */
export function envoyFormatFault(text: string, place: FormatPlace): string | undefined {
  return formatFault(text, place, envoyCelFault);
}

/** Escapes a value without variables, so that a proxy sends exactly this text. */
export function withLiteralPercents(value: string): string {
  return headerValueFault(value) === undefined ? value : value.replaceAll("%", "%%");
}

export function checkNames(
  reader: Reader,
  field: string,
  names: Iterable<string>,
  fault: (name: string) => string | undefined,
): void {
  for (const name of names) {
    const message = fault(name);
    if (message !== undefined) reader.error(message, `${field}.${name}`);
  }
}
