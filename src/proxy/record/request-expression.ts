import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ParsedExpression } from "../../wire/envoy/index.ts";
import { headerValue } from "../routing/matchers.ts";
import type { DescribedRequest } from "../routing/route.ts";
import { addressText, keptAddressText } from "../terms/address-text.ts";
import { textOfHead } from "../terms/header-text.ts";
import { compileCel, connectionAttributes, LazyAttributes, scalarText } from "./cel-program.ts";
import { filterStates } from "./filter-states.ts";

/**
 * A compiled expression, which returns its value as text. Undefined if it has no value, or one that is not a scalar.
 */
export type RequestExpression = (request: DescribedRequest) => string | undefined;

/**
 * Compiles an expression (CEL) over Envoy's attributes of a request that has no upstream yet. Throws the result of
 * `refuse` if it is invalid.
 */
export function compileRequestExpression(
  source: string | ParsedExpression,
  refuse: (problem: string) => Error,
): RequestExpression {
  const program = compileCel(source, refuse);
  return (request) => scalarText(program(attributesOf(request)));
}

/**
 * Envoy's attributes of the request. If a fact is missing, its attribute is absent, so an expression that reads it has
 * no value.
 */
function attributesOf(request: DescribedRequest): Readonly<Record<string, unknown>> {
  const { connection, route } = request;
  const { remote } = connection;
  const trusted = request.clientAddress;
  const target = route?.action.kind === "forward" ? route.action.target : undefined;
  return {
    get request() {
      return requestAttributes(request);
    },
    get connection() {
      return connectionAttributes(connection, connection.serverName ?? connection.tls?.serverName ?? "");
    },
    // Leave the port out if the address comes from a header, which has no port.
    source:
      trusted === remote.address
        ? { address: keptAddressText(remote), port: BigInt(remote.port) }
        : { address: addressText({ address: trusted, port: 0 }), port: 0n },
    destination: { address: keptAddressText(connection.local), port: BigInt(connection.local.port) },
    xds: {
      ...(route === undefined ? {} : { route_name: route.name }),
      ...(route?.metadata === undefined ? {} : { route_metadata: { filter_metadata: route.metadata } }),
      ...(target?.kind === "one" ? { cluster_name: target.cluster } : {}),
    },
    get metadata() {
      return { filter_metadata: Object.fromEntries(request.metadata) };
    },
    get filter_state() {
      return filterStates(connection, {
        downstream: request.valueContext(undefined).downstreamPeer,
        upstream: undefined,
      });
    },
  };
}

function requestAttributes(request: DescribedRequest): LazyAttributes {
  const size = request.header("content-length") ?? "";
  return new LazyAttributes({
    path: headerValue(request, ":path"),
    url_path: request.path,
    query: request.query,
    host: request.authority,
    method: request.method,
    scheme: request.scheme,
    protocol: request.protocol,
    referer: textOfHead(request.header("referer")),
    useragent: textOfHead(request.header("user-agent")),
    id: textOfHead(request.header("x-request-id")),
    size: /^\d{1,15}$/.test(size) ? BigInt(size) : 0n,
    time: () => timestampFromMs(Math.round(request.valueContext(undefined).startedMs)),
    headers: () => headersOf(request),
  });
}

function headersOf(request: DescribedRequest): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [name, bytes] of request.headers()) {
    const value = textOfHead(bytes);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  // Give expressions the host as `:authority`, its name in HTTP/2, as Envoy does.
  headers.delete("host");
  for (const name of [":authority", ":method", ":path", ":scheme"])
    headers.set(name, textOfHead(headerValue(request, name) ?? ""));
  return headers;
}
