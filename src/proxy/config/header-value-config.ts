import { hostname } from "node:os";
import { joinHostPort, ownField } from "../../base/index.ts";
import { operatorNames } from "../../base/command-operators/index.ts";
import { maxAddedLength, type MutationContext } from "../routing/header-mutation.ts";
import { headerValue } from "../routing/matchers.ts";
import { addressText } from "../terms/address-text.ts";
import { utf8HeadText } from "../terms/header-text.ts";
import { invalid, unsupported, type ConfigNotes } from "./config-check.ts";

type ValuePart = (context: MutationContext) => string;

/**
 * Compiles a header's value with Envoy's operators (`%REQ(name?other):length%`, `%DOWNSTREAM_REMOTE_ADDRESS%`, …). The
 * result has one character for each byte. A missing value becomes empty.
 *
 * An operator of Envoy that this proxy does not support, or with an argument that it does not know, becomes empty too.
 * It is noted and does not cause a NACK: otherwise one route could keep the proxy from accepting all other routes.
 */
export function compileHeaderValue(
  text: string,
  direction: "request" | "response",
  where: string,
  notes: ConfigNotes,
): ValuePart {
  if (/[\r\n\0]/.test(text)) throw invalid(where, "a header value must not hold control characters");
  if (!text.includes("%")) return () => text;
  const parts: ValuePart[] = [];
  for (const match of text.matchAll(/%%|%([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%|[^%]+|%/g)) {
    const [whole, operator, argument, length] = match;
    if (whole === "%%") parts.push(() => "%");
    else if (operator === undefined) parts.push(() => whole);
    else parts.push(compilePart({ operator, argument, length, direction }, where, notes));
  }
  return (context) => {
    let out = "";
    for (const part of parts) {
      out += part(context);
      // Stop: an addition of this length is left out, and composing the rest could take more memory than the process
      // has.
      if (out.length > maxAddedLength) break;
    }
    return out;
  };
}

interface Operation {
  readonly operator: string;
  readonly argument: string | undefined;
  readonly length: string | undefined;
  readonly direction: "request" | "response";
}

function compilePart(operation: Operation, where: string, notes: ConfigNotes): ValuePart {
  const { operator, argument } = operation;
  const written = argument === undefined ? `%${operator}%` : `%${operator}(${argument})%`;
  const part = compileOperator(operation);
  if (part === undefined && !operatorNames.has(operator)) throw unsupported(where, written);
  if (part === undefined) notes.ignored(`${where}: ${written}`);
  if (part === undefined) return () => "";
  const limit = operation.length === undefined ? undefined : Number(operation.length);
  // A header's value must be a single line, so line breaks are removed.
  const clean: ValuePart = (context) => part(context).replaceAll(/[\r\n\0]/g, "");
  return limit === undefined ? clean : (context) => clean(context).slice(0, limit);
}

const portOf = (context: MutationContext, address: string): number =>
  address === context.connection.remote.address ? context.connection.remote.port : 0;

const plain: Readonly<Record<string, ValuePart>> = {
  PROTOCOL: ({ request }) => ("protocol" in request ? String(request.protocol) : ""),
  START_TIME: ({ startedMs }) => new Date(startedMs).toISOString(),
  HOSTNAME: () => hostname(),
  ROUTE_NAME: ({ routeName }) => utf8HeadText(routeName),
  RESPONSE_CODE: ({ status }) => (status === 0 ? "" : String(status)),
  RESPONSE_FLAGS: ({ flags }) => flags(),
  UPSTREAM_CLUSTER: ({ cluster }) => cluster,
  UPSTREAM_CLUSTER_RAW: ({ cluster }) => cluster,
  UPSTREAM_HOST: ({ upstreamHost }) => upstreamHost,
  UPSTREAM_REMOTE_ADDRESS: ({ upstreamHost }) => upstreamHost,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ upstreamHost }) =>
    upstreamHost.slice(0, Math.max(0, upstreamHost.lastIndexOf(":"))),
  REQUESTED_SERVER_NAME: ({ connection }) => connection.tls?.serverName ?? "",
  DOWNSTREAM_REMOTE_ADDRESS: (context) =>
    joinHostPort(context.clientAddress(), portOf(context, context.clientAddress())),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ clientAddress }) => clientAddress(),
  DOWNSTREAM_REMOTE_PORT: (context) => String(portOf(context, context.clientAddress())),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ connection }) => addressText(connection.directRemote ?? connection.remote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ connection }) =>
    (connection.directRemote ?? connection.remote).address,
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ connection }) => String((connection.directRemote ?? connection.remote).port),
  DOWNSTREAM_LOCAL_ADDRESS: ({ connection }) => addressText(connection.local),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.local.address,
  DOWNSTREAM_LOCAL_PORT: ({ connection }) => String(connection.local.port),
  DOWNSTREAM_PEER_URI_SAN: ({ connection }) => connection.tls?.peerIdentity ?? "",
  DOWNSTREAM_LOCAL_URI_SAN: ({ connection }) => connection.tls?.localIdentity ?? "",
  DOWNSTREAM_PEER_SUBJECT: ({ connection }) => utf8HeadText(connection.tls?.peerSubject() ?? ""),
  DOWNSTREAM_PEER_FINGERPRINT_256: ({ connection }) => connection.tls?.peerCertificateHash() ?? "",
  DOWNSTREAM_PEER_CERT: ({ connection }) => encodeURIComponent(connection.tls?.peerCertificate() ?? ""),
};

/** Compiles one operator. Returns undefined if this proxy does not support the operator. */
function compileOperator({ operator, argument, direction }: Operation): ValuePart | undefined {
  const known = ownField(plain, operator);
  if (known !== undefined && argument === undefined) return known;
  switch (operator) {
    case "REQ":
    case "REQUEST_HEADER": {
      const [name = "", alternative] = (argument ?? "").toLowerCase().split("?");
      return ({ request }) =>
        headerValue(request, name) ?? (alternative === undefined ? undefined : headerValue(request, alternative)) ?? "";
    }
    case "RESP":
    case "RESPONSE_HEADER": {
      // A header of the request cannot contain one of the response, which does not exist yet.
      if (direction === "request") return undefined;
      const [name = "", alternative] = (argument ?? "").toLowerCase().split("?");
      return ({ response }) =>
        response?.get(name) ?? (alternative === undefined ? undefined : response?.get(alternative)) ?? "";
    }
    case "DYNAMIC_METADATA":
      return dynamicMetadata((argument ?? "").split(":"));
    case "FILTER_STATE":
      return filterState(argument ?? "");
    default:
      return undefined;
  }
}

/**
 * The identities at both ends of the client's connection or of its tunnel. Only the form PLAIN is supported: the others
 * are JSON.
 */
function filterState(argument: string): ValuePart | undefined {
  switch (argument) {
    case "io.istio.peer_principal:PLAIN":
      return ({ connection }) => (connection.tls?.verified === true ? connection.tls.peerIdentity : "");
    case "io.istio.local_principal:PLAIN":
      return ({ connection }) => connection.tls?.localIdentity ?? "";
    default:
      return undefined;
  }
}

/** Reads filters' metadata at a path such as `filter:key:key`. Text is returned as it is, other values as JSON. */
function dynamicMetadata(path: readonly string[]): ValuePart {
  const [filter = "", ...keys] = path;
  return ({ metadata }) => {
    let value = metadata?.get(filter);
    for (const key of keys)
      value =
        typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
    if (value === undefined || value === null) return "";
    return utf8HeadText(typeof value === "string" ? value : JSON.stringify(value));
  };
}
