import { normalizePath, type PathOptions } from "../routing/path.ts";

export interface RequestTarget {
  readonly path: string;
  /** The query without `?`. */
  readonly query: string;
  readonly hasQuery: boolean;
  /** The authority that a target in absolute form or authority form contains. It takes precedence over `host`. */
  readonly authority: string | undefined;
}

/**
 * Parses a request target. Returns undefined if its form is invalid for the method. As in Istio's Envoys
 * (`http_reject_path_with_fragment: false`), a fragment is dropped.
 */
export function parseTarget(method: string, requestTarget: string): RequestTarget | undefined {
  if (method === "CONNECT") {
    return /^[^/?#@\s]+:\d{1,5}$/.test(requestTarget)
      ? { path: "", query: "", hasQuery: false, authority: requestTarget }
      : undefined;
  }
  const fragment = requestTarget.indexOf("#");
  const target = fragment < 0 ? requestTarget : requestTarget.slice(0, fragment);
  if (target.charCodeAt(0) === 47) return split(target, undefined);
  if (target === "*")
    return method === "OPTIONS" ? { path: "*", query: "", hasQuery: false, authority: undefined } : undefined;
  const absolute = /^https?:\/\/([\w\-.:[\]]+)((?:[/?].*)?)$/i.exec(target);
  if (absolute === null || !hasPort(absolute[1] ?? "")) return undefined;
  const rest = absolute[2] ?? "";
  // Refuse a fragment directly after the authority: it would be read as a part of the authority, which only a path or a
  // query ends.
  if (rest === "" && fragment >= 0) return undefined;
  return split(rest.startsWith("/") ? rest : `/${rest}`, absolute[1]);
}

/**
 * Whether only a valid port, or nothing, follows an authority's host. The caller has checked that the host has only the
 * characters of host names, as in Envoy.
 */
function hasPort(authority: string): boolean {
  const port = /^(?:\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(authority);
  return port !== null && Number(port[1] ?? "") <= 65_535;
}

function split(pathAndQuery: string, authority: string | undefined): RequestTarget {
  const mark = pathAndQuery.indexOf("?");
  if (mark < 0) return { path: pathAndQuery, query: "", hasQuery: false, authority };
  return { path: pathAndQuery.slice(0, mark), query: pathAndQuery.slice(mark + 1), hasQuery: true, authority };
}

export interface ReadTarget {
  /** The path in normal form. */
  readonly path: string;
  readonly query: string;
  readonly authority: string | undefined;
  /** The path and query to forward. Undefined means that they are forwarded as the client sent them. */
  readonly changed: string | undefined;
}

/**
 * Parses a request target and normalizes its path. Returns undefined if the target is invalid, or if its path must be
 * rejected.
 */
export function readTarget(method: string, text: string, options: PathOptions): ReadTarget | undefined {
  const target = parseTarget(method, text);
  const path = target === undefined ? undefined : normalizePath(target.path, options);
  if (target === undefined || path === undefined) return undefined;
  const { query, authority } = target;
  const differs = method !== "CONNECT" && (path !== target.path || authority !== undefined || text.includes("#"));
  const changed = target.hasQuery ? `${path}?${query}` : path;
  return { path, query, authority, changed: differs ? changed : undefined };
}
