import type { Reader } from "../reader.ts";

/** Names and values of headers as a proxy takes them. Each `…Fault` says what is wrong, or undefined. */

const tokenPattern = /^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/;
const strictPattern = /^[-_A-Za-z0-9]+$/;
const pseudoHeaders = [":method", ":scheme", ":authority", ":path", ":status"];

export function headerNameFault(name: string): string | undefined {
  return tokenPattern.test(name) ? undefined : `must be the name of a header, got "${name}"`;
}

/** Letters, digits, dashes and underscores only. */
export function strictHeaderNameFault(name: string): string | undefined {
  return strictPattern.test(name)
    ? undefined
    : `must be the name of a header of letters, digits, "-" and "_", got "${name}"`;
}

/** A header to match: also a pseudo header, or a claim of a token (`@request.auth.claims.group`). */
export function matchedHeaderFault(name: string): string | undefined {
  return isClaim(name) || pseudoHeaders.includes(name) ? undefined : headerNameFault(name);
}

/** `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`. */
export function isClaim(name: string): boolean {
  return /^@request\.auth\.claims(\..+|(\[[^[\]]*\])+)$/i.test(name);
}

export function isAuthority(name: string): boolean {
  return /^(:authority|host)$/i.test(name);
}

/** A header to add or set on a request: the authority is the only pseudo header that may be. */
export function requestHeaderFault(name: string): string | undefined {
  return isAuthority(name) ? undefined : changedHeaderFault(name);
}

/** A header to remove, or to change on a response. */
export function changedHeaderFault(name: string): string | undefined {
  if (name === "") return "must be the name of a header, got an empty one";
  if (/^host$/i.test(name)) return "must not be Host; use rewrite.authority";
  return name.startsWith(":") ? `must not be a pseudo header, got "${name}"` : undefined;
}

/**
 * A value with `%VARIABLE%` or `%VARIABLE(arguments)%` in it, where `%%` stands for a percent sign: a proxy refuses
 * all of its configuration over one that it cannot read.
 */
export function headerValueFault(value: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- what may not be in a header are control characters
  if (/[\u0000-\u0008\u000A-\u001F\u007F]/.test(value)) return "must not have control characters";
  let rest = value;
  while (rest !== "") {
    const percent = rest.indexOf("%");
    if (percent === -1) return undefined;
    const variable = /^%(%|[^%(]*%|[^%(]*\((?:[^)\\"]|\\.|"(?:[^"\\]|\\.)*")*\) *%)/.exec(rest.slice(percent));
    if (variable === null) return `must write a percent sign as %%, or end the variable that it begins, got "${value}"`;
    rest = rest.slice(percent + variable[0].length);
  }
  return undefined;
}

/** Checks the names of a map's keys. */
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
