import type { FilterRequest } from "../filters/http-filter.ts";
import { addressText } from "../terms/address-text.ts";
import type { AttributeMap } from "./messages.ts";
import type { Pairs } from "./pairs.ts";

const nsInMs = 1_000_000n;

export function attributesOf(request: FilterRequest, nowMs: number): AttributeMap {
  const { connection, route } = request;
  const { tls } = connection;
  const target = route?.action.kind === "forward" ? route.action.target : undefined;
  const cluster = target?.kind === "one" ? target.cluster : undefined;
  return {
    request: {
      path: request.query === "" ? request.path : `${request.path}?${request.query}`,
      url_path: request.path,
      query: request.query,
      host: request.header("host") ?? request.authority,
      scheme: request.scheme,
      method: request.method,
      referer: request.header("referer") ?? "",
      useragent: request.header("user-agent") ?? "",
      id: request.header("x-request-id") ?? "",
      protocol: request.protocol,
      time: BigInt(Math.round(nowMs)) * nsInMs,
    },
    source: { address: addressText(connection.remote), port: connection.remote.port },
    destination: { address: addressText(connection.local), port: connection.local.port },
    connection: {
      mtls: tls?.verified ?? false,
      requested_server_name: connection.serverName ?? tls?.serverName ?? "",
      ...(tls === undefined
        ? {}
        : {
            uri_san_peer_certificate: tls.peerIdentity,
            uri_san_local_certificate: tls.localIdentity,
            subject_peer_certificate: tls.peerSubject(),
            dns_san_peer_certificate: tls.peerDnsNames()[0] ?? "",
            sha256_peer_certificate_digest: tls.peerCertificateHash(),
          }),
    },
    xds: { route_name: route?.name ?? "", ...(cluster === undefined ? {} : { cluster_name: cluster }) },
    route_name: route?.name ?? "",
    ...(cluster === undefined ? {} : { cluster_name: cluster }),
  };
}

/**
 * Headers that modules can neither read nor change: those of the connection and of the message's framing, and `host`,
 * which they have as `:authority`.
 */
const hidden: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "host",
]);

/** The headers of a request as modules see them, with the pseudo headers first. */
export function fieldsOf(request: FilterRequest): Pairs {
  const target = request.query === "" ? request.path : `${request.path}?${request.query}`;
  const fields: (readonly [string, string])[] = [
    [":authority", request.header("host") ?? request.authority],
    [":path", target],
    [":method", request.method],
    [":scheme", request.scheme],
  ];
  for (const [name, value] of request.headers())
    if (!hidden.has(name) && !name.startsWith(":")) fields.push([name, value]);
  return fields;
}

/** Applies a module's changes to a request's headers. Returns whether there were any. */
export function applyFields(request: FilterRequest, before: Pairs, after: Pairs): boolean {
  const old = valuesOf(before);
  const now = valuesOf(after);
  let changed = false;
  for (const [name, values] of now) {
    if (hidden.has(name) || name === ":scheme" || same(old.get(name), values)) continue;
    changed = true;
    request.setHeader(name, values);
  }
  for (const name of old.keys()) {
    if (now.has(name) || name.startsWith(":")) continue;
    changed = true;
    request.removeHeader(name);
    // Send the body in chunks if the module removes its length, which is then known only at the end.
    if (name === "content-length" && request.hasBody) request.setHeader("transfer-encoding", "chunked");
  }
  return changed;
}

function valuesOf(fields: Pairs): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const [name, value] of fields) {
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else values.push(value);
  }
  return found;
}

function same(left: readonly string[] | undefined, right: readonly string[]): boolean {
  return left?.length === right.length && left.every((value, index) => value === right[index]);
}
