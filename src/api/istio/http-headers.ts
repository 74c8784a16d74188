import type { Reader } from "../reader.ts";

/** The header names and values that a proxy accepts. Each `…Fault` returns the fault, or undefined. */

const tokenPattern = /^[-!#$%&'*+.^_`|~A-Za-z0-9]+$/;
const strictPattern = /^[-_A-Za-z0-9]+$/;
const pseudoHeaders = [":method", ":scheme", ":authority", ":path", ":status"];

export function headerNameFault(name: string): string | undefined {
  return tokenPattern.test(name) ? undefined : `must be the name of a header, got "${name}"`;
}

/** The fault of a name that may only have letters, digits, dashes and underscores. */
export function strictHeaderNameFault(name: string): string | undefined {
  return strictPattern.test(name)
    ? undefined
    : `must be the name of a header of letters, digits, "-" and "_", got "${name}"`;
}

/** The fault of a header to match. It may be a pseudo-header, or a token's claim (`@request.auth.claims.group`). */
export function matchedHeaderFault(name: string): string | undefined {
  return isClaim(name) || pseudoHeaders.includes(name) ? undefined : headerNameFault(name);
}

/** Recognizes `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`. */
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

/** Whether the header frames messages of a connection. A proxy writes it by itself. */
export function isFraming(name: string): boolean {
  return /^(content-length|transfer-encoding|connection)$/i.test(name);
}

/** The fault of a header's value without variables. */
export function literalValueFault(value: string): string | undefined {
  // eslint-disable-next-line no-control-regex -- control characters are not allowed in a header
  return /[\u0000-\u0008\u000A-\u001F\u007F]/.test(value) ? "must not have control characters" : undefined;
}

const words = (text: string): string[] => text.trim().split(/\s+/);

/**
 * The variables that a proxy substitutes in a header's value, by whether they have an argument in parentheses. These are
 * Envoy's command operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
 */
export const headerVariables: Readonly<
  Record<"withoutArgument" | "withArgument" | "withAnyArgument", readonly string[]>
> = {
  withoutArgument: words(`
  ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS
  DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT
  DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
  DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED
  DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_JA3_FINGERPRINT DOWNSTREAM_JA4_FINGERPRINT DOWNSTREAM_LOCAL_ADDRESS
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN
  DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT
  DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_DNS_SAN
  DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN
  DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT
  DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS
  DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT
  DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON
  DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME
  LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION
  RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES
  RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT
  TRACE_ID UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID
  UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED
  UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT
  UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT UPSTREAM_HOST_NAMES_ATTEMPTED
  UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_CONNECTION_IDS_ATTEMPTED UPSTREAM_LOCAL_ADDRESS
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN UPSTREAM_LOCAL_IP_SAN
  UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_SUBJECT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
  UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
  UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT
  UPSTREAM_TLS_CIPHER UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_DURATION
  UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME`),
  withArgument: words(`
  CEL CLUSTER_METADATA COALESCE COMMON_DURATION DYNAMIC_METADATA ENVIRONMENT FILTER_STATE METADATA PER_REQUEST_STATE
  QUERY_PARAM REQ REQ_WITHOUT_QUERY RESP SECRET TRAILER TYPED_CEL UPSTREAM_FILTER_STATE UPSTREAM_METADATA`),
  withAnyArgument: words(`
  DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_CERT_V_START EMIT_TIME EMIT_TIME_LOCAL GRPC_STATUS PATH QUERY_PARAMS
  REQUESTED_SERVER_NAME START_TIME START_TIME_LOCAL UPSTREAM_PEER_CERT_V_END UPSTREAM_PEER_CERT_V_START`),
};

function isVariable(name: string, argument: string | undefined): boolean {
  const { withoutArgument, withArgument, withAnyArgument } = headerVariables;
  return (argument === undefined ? withoutArgument : withArgument).includes(name) || withAnyArgument.includes(name);
}

/**
 * The fault of a value that may contain `%VARIABLE%` or `%VARIABLE(argument)%`, where `%%` means a percent sign. A proxy
 * rejects the routes of the whole port if it cannot parse one of them, or does not know it.
 */
export function headerValueFault(value: string): string | undefined {
  const fault = literalValueFault(value);
  if (fault !== undefined) return fault;
  for (const [whole, name, argument] of value.matchAll(/%%|%([A-Z0-9_]+)(?:\((.*?)\))?(?::\d+)?%|%/g)) {
    if (whole === "%%") continue;
    if (name === undefined)
      return `must write a percent sign as %%, or end the variable that it begins, got ${JSON.stringify(value)}`;
    if (!isVariable(name, argument))
      return `has ${whole}, which no proxy can substitute. Correct the name of the variable and its argument, or write a percent sign as %%`;
  }
  return undefined;
}

/** The value as a proxy must get it so that it sends this text, if the value is not one with variables. */
export function withLiteralPercents(value: string): string {
  return headerValueFault(value) === undefined ? value : value.replaceAll("%", "%%");
}

/** Checks the keys of a map as header names. */
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
