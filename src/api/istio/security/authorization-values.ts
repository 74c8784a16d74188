import { httpMethods } from "../../../base/index.ts";
import { emptyFault, subnetFault } from "../checks.ts";
import { maxPort } from "../fields.ts";

// The valid values of fields and conditions of an AuthorizationPolicy. Each function returns the fault of a value, or
// undefined.

export const sourceFields = [
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "trustDomains",
  "notTrustDomains",
  "ipBlocks",
  "notIpBlocks",
  "remoteIpBlocks",
  "notRemoteIpBlocks",
] as const;
export type SourceField = (typeof sourceFields)[number];

export const operationFields = [
  "hosts",
  "notHosts",
  "ports",
  "notPorts",
  "methods",
  "notMethods",
  "paths",
  "notPaths",
] as const;
export type OperationField = (typeof operationFields)[number];

const maxAccountLength = 320;

export function fieldFault(field: SourceField | OperationField, value: string): string | undefined {
  if (value === "") return emptyFault(value);
  switch (field) {
    case "ipBlocks":
    case "notIpBlocks":
    case "remoteIpBlocks":
    case "notRemoteIpBlocks":
      return subnetFault(value);
    case "serviceAccounts":
    case "notServiceAccounts":
      return serviceAccountFault(value);
    case "trustDomains":
    case "notTrustDomains":
      return trustDomainFault(value);
    case "ports":
    case "notPorts":
      return portFault(value);
    default:
      return undefined;
  }
}

function portFault(value: string): string | undefined {
  return /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= maxPort
    ? undefined
    : `must be a port number, got "${value}"`;
}

function serviceAccountFault(value: string): string | undefined {
  const parts = value.split("/");
  if (value.includes("*")) return `must not have wildcards, got "${value}"; use principals for wildcards`;
  if (value.length > maxAccountLength) return `must have at most ${maxAccountLength} characters`;
  return parts.length > 2 || parts.includes("")
    ? `must be a service account's name, or namespace/name, got "${value}"`
    : undefined;
}

function trustDomainFault(value: string): string | undefined {
  if (value.includes("/")) return `must be a trust domain without "/", got "${value}"`;
  return wildcardFault(value);
}

function wildcardFault(value: string): string | undefined {
  return /^\*?[^*]*$|^[^*]*\*$/.test(value) ? undefined : `may have one "*", at its beginning or end, got "${value}"`;
}

const methods: ReadonlySet<string> = new Set(httpMethods);

/**
 * Why no request can have this value, although it is valid. Undefined if requests can have it. An ALLOW rule with such
 * a value matches nothing, which its author notices. A DENY rule with such a value silently denies nothing.
 */
export function operationDoubt(field: OperationField, value: string): string | undefined {
  switch (field) {
    case "methods":
    case "notMethods": {
      const known = value.toUpperCase();
      return value !== known && methods.has(known)
        ? `matches no request, because methods are in upper case: write ${known}, got "${value}"`
        : undefined;
    }
    case "paths":
    case "notPaths":
      if (!value.startsWith("/") && !value.startsWith("*"))
        return `matches no request, because paths begin with "/", got "${value}"`;
      return /^.+\*./.test(value) && !value.includes("{")
        ? `matches a "*" in the path itself; write {*} for one segment, or a "*" at one end, got "${value}"`
        : undefined;
    case "hosts":
    case "notHosts":
      return /[\s/]/.test(value)
        ? `matches no request, because hosts have no blanks and slashes, got "${value}"`
        : undefined;
    default:
      return undefined;
  }
}

/**
 * The maximum number of characters of a path with templates. A longer one could exceed the proxies' limit for
 * expressions.
 */
const maxTemplateLength = 4096;

/**
 * `{*}` matches one segment of a path. `{**}` matches any number of segments and must come last. Other braces are
 * invalid.
 */
export function pathTemplateFault(path: string): string | undefined {
  const hasTemplate = path.includes("{*}") || path.includes("{**}");
  if (hasTemplate && path.length > maxTemplateLength)
    return `must have at most ${maxTemplateLength} characters beside templates, got ${path.length}`;
  const parts = withoutOuterSlashes(path).split("/");
  const last = parts.indexOf("{**}");
  for (const [index, part] of parts.entries()) {
    const isTemplate = part === "{*}" || part === "{**}";
    if (isTemplate && last !== -1 && index > last) return `must have "{**}" as its last template, got "${path}"`;
    if (isTemplate) continue;
    if (/[{}]/.test(part)) return `may have braces only as whole path segments "{*}" and "{**}", got "${path}"`;
    if (hasTemplate && !/^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/.test(part))
      return `must have only plain characters in segments beside templates, got "${path}"`;
  }
  return undefined;
}

/** Removes slashes at both ends. A regular expression would take quadratic time for a text of many slashes. */
function withoutOuterSlashes(path: string): string {
  let [from, to] = [0, path.length];
  while (path[from] === "/") from += 1;
  while (to > from && path[to - 1] === "/") to -= 1;
  return path.slice(from, to);
}

const keys = [
  "source.ip",
  "remote.ip",
  "source.namespace",
  "source.serviceAccount",
  "source.principal",
  "source.trustDomain",
  "request.auth.principal",
  "request.auth.audiences",
  "request.auth.presenter",
  "destination.ip",
  "destination.port",
  "connection.sni",
];
const keysWithName = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];
const keysUnknownToCustom = ["source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal"];

/** The names in the key of a condition, such as `a` and `b` in `request.auth.claims[a][b]`. */
export function namesInBrackets(key: string): readonly string[] {
  // Drop what follows the last bracket, because no name can end there. Otherwise the search for an end from each later
  // `[` would take quadratic time.
  const closed = key.slice(0, key.lastIndexOf("]") + 1);
  return [...closed.matchAll(/\[([^\]]*)\]/g)].map(([, name = ""]) => name);
}

/**
 * The fault of a condition's key, if any. A name must not be empty or contain a line break, because an Envoy would
 * reject a whole listener for it.
 */
export function conditionFault(key: string, isCustom: boolean): string | undefined {
  if (key === "") return "is required";
  if (isCustom && (keysUnknownToCustom.includes(key) || key.startsWith("request.auth.")))
    return `is not supported when the action is CUSTOM, got "${key}"`;
  if (keys.includes(key)) return undefined;
  if (keysWithName.some((prefix) => key.startsWith(prefix)))
    return /^[^[]+\[.+\]$/.test(key) && namesInBrackets(key).every((name) => /^[^\0\r\n]+$/.test(name))
      ? undefined
      : `must have a name in brackets, such as request.headers[x-token], got "${key}"`;
  if (key === "destination.namespace") return "is not a condition; a policy applies to its own namespace";
  if (key.startsWith("destination.labels")) return "is not a condition; use the selector";
  return `must be one of ${[...keys, "request.headers[name]", "request.auth.claims[name]"].join(", ")}, got "${key}"`;
}

export function conditionValueFault(key: string, value: string): string | undefined {
  switch (key) {
    case "source.ip":
    case "remote.ip":
    case "destination.ip":
      return subnetFault(value);
    case "destination.port":
      return portFault(value);
    case "source.serviceAccount":
      return serviceAccountFault(value);
    case "source.trustDomain":
      return wildcardFault(value);
    default:
      return undefined;
  }
}
