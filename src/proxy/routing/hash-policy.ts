import { hashText } from "../terms/hash-text.ts";
import { headerValue, queryValue } from "./matchers.ts";
import type { RequestView } from "./request-view.ts";

export type HashPolicy = { readonly terminal: boolean } & (
  | { readonly kind: "header"; readonly name: string; readonly rewrite: ((value: string) => string) | undefined }
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly path: string;
      readonly ttlSeconds: number | undefined;
      readonly attributes: readonly string[];
    }
  | { readonly kind: "source-ip" }
  | { readonly kind: "query"; readonly name: string }
);

export interface RequestHash {
  /** A 32-bit number. */
  readonly value: number;
  /** The `set-cookie` value of a new cookie that the response must set. Undefined if none is needed. */
  readonly setCookie: string | undefined;
}

/**
 * Hashes a request. Sources without a value are skipped. A terminal source that has a value is the last one used.
 * Returns undefined if no source has a value. The value of a new cookie is derived from the client's connection.
 */
export function requestHash(
  policies: readonly HashPolicy[],
  request: RequestView,
  clientAddress: string,
  connectionId: string,
): RequestHash | undefined {
  let value: number | undefined;
  let setCookie: string | undefined;
  for (const policy of policies) {
    const found = sourceValue(policy, request, clientAddress, connectionId);
    if (found === undefined) continue;
    setCookie ??= found.setCookie;
    const hash = hashText(found.text);
    // Rotate the value before mixing in the next hash, so that two equal hashes do not cancel each other.
    value = value === undefined ? hash : (((value << 1) | (value >>> 31)) ^ hash) >>> 0;
    if (policy.terminal) break;
  }
  return value === undefined ? undefined : { value, setCookie };
}

function sourceValue(
  policy: HashPolicy,
  request: RequestView,
  clientAddress: string,
  connectionId: string,
): { readonly text: string; readonly setCookie?: string } | undefined {
  switch (policy.kind) {
    case "header": {
      const value = headerValue(request, policy.name);
      return value === undefined ? undefined : { text: policy.rewrite?.(value) ?? value };
    }
    case "source-ip":
      return clientAddress === "" ? undefined : { text: clientAddress };
    case "query": {
      const value = queryValue(request.query, policy.name);
      return value === undefined ? undefined : { text: value };
    }
    case "cookie": {
      const value = cookieValue(headerValue(request, "cookie"), policy.name);
      if (value !== undefined) return { text: value };
      if (policy.ttlSeconds === undefined) return undefined;
      const made = [hashText(connectionId), hashText(connectionId, 1)]
        .map((part) => part.toString(16).padStart(8, "0"))
        .join("");
      return { text: made, setCookie: cookieText(policy, made) };
    }
  }
}

export function cookieText(
  policy: Pick<Extract<HashPolicy, { readonly kind: "cookie" }>, "name" | "path" | "ttlSeconds" | "attributes">,
  value: string,
): string {
  const lifetime = policy.ttlSeconds === undefined || policy.ttlSeconds === 0 ? "" : `; Max-Age=${policy.ttlSeconds}`;
  const path = policy.path === "" ? "" : `; Path=${policy.path}`;
  return `${policy.name}="${value}"${lifetime}${path}${policy.attributes.map((attribute) => `; ${attribute}`).join("")}; HttpOnly`;
}

/** A cookie's value in a `cookie` header, without quotes. */
export function cookieValue(field: string | undefined, name: string): string | undefined {
  if (field === undefined) return undefined;
  for (const pair of field.split(/[;,]/)) {
    const equals = pair.indexOf("=");
    if (equals < 0 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return undefined;
}
