import { ownField } from "../../base/index.ts";

/** The parsed path of a request. The resource need not exist. */
export type RequestInfo = ResourceRequest | PathRequest;

export interface PathRequest {
  readonly kind: "path";
  readonly path: string;
  readonly verb: string;
}

export interface ResourceRequest {
  readonly kind: "resource";
  readonly path: string;
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  /** The namespace. It is empty for cluster scope, and for lists over all namespaces. */
  readonly namespace: string;
  readonly resource: string;
  readonly name: string;
  readonly subresource: string;
  /** The path after the subresource, for proxied requests. */
  readonly rest: string;
}

const verbOfMethod: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

const namespaceSubresources = new Set(["status", "finalize"]);

/**
 * Parses a resource path such as `/api/v1/namespaces/a/pods/b/log`. Returns a {@link PathRequest} for any other path.
 */
export function requestInfoOf(method: string, path: string, query: URLSearchParams): RequestInfo {
  const plain: PathRequest = { kind: "path", path, verb: method.toLowerCase() };
  const parts = path.split("/").filter((part) => part !== "");
  let group = "";
  let at = 2;
  if (parts[0] === "apis") {
    group = parts[1] ?? "";
    at = 3;
  } else if (parts[0] !== "api") return plain;
  const version = parts[at - 1];
  if (version === undefined || parts.length <= at) return plain;
  let namespace = "";
  // The path of a deprecated watch begins with the word `watch`.
  const isOldWatch = parts[at] === "watch" && parts.length > at + 1;
  if (isOldWatch) at += 1;
  if (
    parts[at] === "namespaces" &&
    parts.length > at + 2 &&
    !(group === "" && namespaceSubresources.has(parts[at + 2] ?? ""))
  ) {
    namespace = decodeURIComponent(parts[at + 1] ?? "");
    at += 2;
  }
  const [resource = "", name = "", subresource = "", ...rest] = parts.slice(at).map((part) => decodeURIComponent(part));
  const isNamespaceItself = group === "" && resource === "namespaces" && namespace === "";
  const info = {
    kind: "resource",
    path,
    group,
    version,
    namespace: isNamespaceItself ? name : namespace,
    resource,
    name,
    subresource,
  } as const;
  const verb = isOldWatch && (method === "GET" || method === "HEAD") ? "watch" : resourceVerb(method, name, query);
  return { ...info, rest: restOf(path, rest.length), verb };
}

function restOf(path: string, parts: number): string {
  if (parts === 0) return path.endsWith("/") ? "/" : "";
  return `/${path.replace(/\/$/, "").split("/").slice(-parts).join("/")}${path.endsWith("/") ? "/" : ""}`;
}

function resourceVerb(method: string, name: string, query: URLSearchParams): string {
  const verb = ownField(verbOfMethod, method) ?? method.toLowerCase();
  if (verb === "delete" && name === "") return "deletecollection";
  if (verb !== "get") return verb;
  if (name !== "") return "get";
  return isTrue(query.get("watch")) ? "watch" : "list";
}

export function isTrue(value: string | null): boolean {
  return (
    value === "" ||
    value === "true" ||
    value === "1" ||
    value === "True" ||
    value === "t" ||
    value === "T" ||
    value === "TRUE"
  );
}
