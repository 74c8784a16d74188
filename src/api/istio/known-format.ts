import { envoyCelFault } from "./envoy-expression.ts";

/** The most characters that are read. */
const maxLength = 4096;

/** Commands without an argument that all proxies take. */
const plainCommands: ReadonlySet<string> = new Set(
  `ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_URI_SAN
  DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_TLS_VERSION DURATION FILTER_CHAIN_NAME GRPC_STATUS HOSTNAME
  PROTOCOL REQUESTED_SERVER_NAME REQUEST_DURATION RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_DURATION
  RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_TX_DURATION ROUTE_NAME START_TIME STREAM_ID TRACE_ID UNIQUE_ID
  UPSTREAM_CLUSTER UPSTREAM_HOST UPSTREAM_LOCAL_ADDRESS UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN
  UPSTREAM_REMOTE_ADDRESS UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TRANSPORT_FAILURE_REASON VIRTUAL_CLUSTER_NAME`.split(
    /\s+/,
  ),
);
const header = /^:?[\w.!#$&'*+^`|~-]+(?:\?:?[\w.!#$&'*+^`|~-]+)?$/;
const metadata = /^[\w.-]+(?::[\w.-]+)*$/;
/** Commands with an argument, and the arguments that all proxies are known to take. */
const argumentsOf: ReadonlyMap<string, RegExp> = new Map([
  ["REQ", header],
  ["RESP", header],
  ["TRAILER", header],
  ["ENVIRONMENT", /^\w+$/],
  ["QUERY_PARAM", /^[\w.-]+$/],
  ["DYNAMIC_METADATA", metadata],
  ["CLUSTER_METADATA", metadata],
  ["UPSTREAM_METADATA", metadata],
  ["FILTER_STATE", /^[\w.-]+(?::PLAIN|:TYPED|:FIELD:\w+)?$/],
]);
const command = /%(?<name>[A-Z_]+)(?:\((?<argument>(?:[^()%\n]|\([^()%\n]*\))*)\)(?::\d{1,5})?)?%/gy;

/** Whether Envoys and Serin's proxies are known to take a format, such as `%REQ(:PATH)%`. */
export function isKnownFormat(format: string): boolean {
  if (format.length > maxLength) return false;
  for (let at = format.indexOf("%"); at !== -1; at = format.indexOf("%", at)) {
    command.lastIndex = at;
    const found = command.exec(format);
    if (format.startsWith("%%", at)) at += 2;
    else if (found?.groups === undefined || !isCommand(found.groups["name"] ?? "", found.groups["argument"]))
      return false;
    else at += found[0].length;
  }
  return true;
}

function isCommand(name: string, argument: string | undefined): boolean {
  if (argument === undefined) return plainCommands.has(name);
  if (name === "CEL") return envoyCelFault(argument) === undefined;
  return argumentsOf.get(name)?.test(argument) === true;
}
