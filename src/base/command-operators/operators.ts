const words = (text: string): string[] => text.trim().split(/\s+/);

/** How an operator is written: `%NAME%`, `%NAME(argument)%` or `%NAME(argument):length%`. */
export interface OperatorForm {
  readonly argument: "never" | "maybe" | "always";
  readonly takesLength: boolean;
  /** The arguments that Envoy accepts. Absent means that it accepts any. */
  readonly pattern?: RegExp;
  readonly expected?: string;
}

const plainNames = words(`
  ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS CUSTOM_FLAGS
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION
  DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS
  DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_DNS_SAN
  DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT
  DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1
  DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256 DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN
  DOWNSTREAM_PEER_EMAIL_SAN DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN
  DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_OTHERNAME_SAN DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT
  DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT
  DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON
  DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME
  LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION
  RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES
  RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID
  UNIQUE_ID UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_POOL_READY_DURATION
  UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOST_NAME
  UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_DNS_SAN
  UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
  UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
  UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
  UPSTREAM_REMOTE_PORT UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TLS_CIPHER UPSTREAM_TLS_SESSION_ID
  UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT
  VIRTUAL_CLUSTER_NAME`);

/**
 * Operators that some version of Envoy from 1.37 to 1.40 rejects without further configuration: newer ones, those of
 * extensions, and names from earlier documentation. COALESCE is among them because Envoy 1.40 crashes on some of its
 * arguments, such as `%COALESCE(5)%`.
 */
const otherNames = words(`
  COALESCE DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_JA3_FINGERPRINT DOWNSTREAM_JA4_FINGERPRINT
  DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL FILE_CONTENT
  LISTENER_NAME QUERY_PARAMS REQ_WITHOUT_QUERY SECRET SPAN_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
  UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
  UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT UPSTREAM_LOCAL_CLOSE_REASON
  UPSTREAM_LOCAL_SUBJECT UPSTREAM_SERVER_NAME UPSTREAM_TRANSPORT_DURATION`);

const token = "[\\w.!#$&'*+^`|~-]+";
const header: OperatorForm = {
  argument: "always",
  takesLength: true,
  pattern: new RegExp(`^:?${token}(?:\\?:?${token})?$`),
  expected: 'the name of a header, or two names with "?" between them',
};
/** Refuses `%n`, because a header must not contain a line break. Envoy also writes one for `%10n` and `%+n`. */
const time: OperatorForm = {
  argument: "maybe",
  takesLength: false,
  pattern: /^(?!.*%[-_^#+:*\dEO]*n)/s,
  expected: 'a format of the time without a line break ("%n")',
};
const keyPath = '[^:[\\]()%"\\\\]+(?::[^:[\\]()%"\\\\]+)*';
const jsonPath = '\\["[^"\\\\()%]*"(?:, ?"[^"\\\\()%]*")*\\]';
const metadata: OperatorForm = {
  argument: "always",
  takesLength: false,
  pattern: new RegExp(`^(?:${keyPath}|${jsonPath})$`),
  expected: 'a namespace of metadata and keys, with ":" between them',
};
const filterState: OperatorForm = {
  argument: "always",
  takesLength: true,
  pattern: /^[^:()%]+(?::PLAIN|:TYPED|:FIELD:[^()%]+)?$/,
  expected: 'a key, and then nothing, ":PLAIN", ":TYPED" or ":FIELD:" with the name of a field',
};
const word: OperatorForm = {
  argument: "always",
  takesLength: true,
  pattern: /^[^()%]+$/,
  expected: "a name without parentheses and percent signs",
};
const expression: OperatorForm = { argument: "always", takesLength: true, expected: "an expression that Envoy takes" };

const formsWithArgument: Readonly<Record<string, OperatorForm>> = {
  REQ: header,
  REQUEST_HEADER: header,
  RESP: header,
  RESPONSE_HEADER: header,
  TRAILER: header,
  RESPONSE_TRAILER: header,
  START_TIME: time,
  START_TIME_LOCAL: time,
  EMIT_TIME: time,
  EMIT_TIME_LOCAL: time,
  DOWNSTREAM_PEER_CERT_V_START: time,
  DOWNSTREAM_PEER_CERT_V_END: time,
  UPSTREAM_PEER_CERT_V_START: time,
  UPSTREAM_PEER_CERT_V_END: time,
  CLUSTER_METADATA: metadata,
  UPSTREAM_METADATA: metadata,
  DYNAMIC_METADATA: { ...metadata, takesLength: true },
  METADATA: {
    argument: "always",
    takesLength: true,
    pattern:
      /^(?:CLUSTER|DYNAMIC|LISTENER|LISTENER_FILTER_CHAIN|ROUTE|UPSTREAM_HOST|VIRTUAL_HOST)(?::[^:()%"\\[\]]+)*$/,
    expected: "CLUSTER, DYNAMIC, LISTENER, LISTENER_FILTER_CHAIN, ROUTE, UPSTREAM_HOST or VIRTUAL_HOST, with keys",
  },
  FILTER_STATE: filterState,
  UPSTREAM_FILTER_STATE: filterState,
  PER_REQUEST_STATE: {
    argument: "always",
    takesLength: false,
    pattern: /^[^:()%]+$/,
    expected: "the key of a state of the request",
  },
  ENVIRONMENT: word,
  QUERY_PARAM: word,
  COMMON_DURATION: {
    argument: "always",
    takesLength: false,
    pattern: /^\w+:\w+(?::(?:ms|us|ns))?$/,
    expected: 'two points in time, and perhaps ms, us or ns, with ":" between them',
  },
  GRPC_STATUS: {
    argument: "maybe",
    takesLength: false,
    pattern: /^(?:CAMEL_STRING|SNAKE_STRING|NUMBER)?$/,
    expected: "CAMEL_STRING, SNAKE_STRING or NUMBER",
  },
  PATH: {
    argument: "maybe",
    takesLength: true,
    pattern: /^(?:WQ|NQ)?(?::(?:ORIG|PATH|ORIG_OR_PATH))?$/,
    expected: "WQ or NQ, and perhaps :ORIG, :PATH or :ORIG_OR_PATH",
  },
  REQUESTED_SERVER_NAME: {
    argument: "maybe",
    takesLength: false,
    pattern: /^(?:(?:SNI_ONLY|SNI_FIRST|HOST_FIRST)(?::(?:ORIG_OR_HOST|HOST|ORIG))?)?$/,
    expected: "SNI_ONLY, SNI_FIRST or HOST_FIRST, and perhaps :ORIG_OR_HOST, :HOST or :ORIG",
  },
  RESPONSE_CODE_DETAILS: {
    argument: "maybe",
    takesLength: false,
    pattern: /^(?:ALLOW_WHITESPACES)?$/,
    expected: "ALLOW_WHITESPACES",
  },
  CEL: expression,
  TYPED_CEL: expression,
};

/** The operators that all versions of Envoy from 1.37 to 1.40 accept. Those are the proxies of Istio 1.29 to 1.31. */
export const operatorForms: ReadonlyMap<string, OperatorForm> = new Map<string, OperatorForm>([
  ...plainNames.map((name): [string, OperatorForm] => [name, { argument: "never", takesLength: false }]),
  ...Object.entries(formsWithArgument),
]);

const extension = "it needs a further extension of Envoy";
const unknown = "no Envoy has it";
/** Why a proxy rejects an operator that every version of Envoy rejects without further configuration. */
export const nameFaults: ReadonlyMap<string, string> = new Map([
  ["COALESCE", "some of its arguments end an Envoy"],
  ["FILE_CONTENT", extension],
  ["SECRET", extension],
  ["REQ_WITHOUT_QUERY", `${extension}; write %PATH(NQ)% instead`],
  ["DOWNSTREAM_JA3_FINGERPRINT", `${unknown}; write %TLS_JA3_FINGERPRINT% instead`],
  ["DOWNSTREAM_JA4_FINGERPRINT", `${unknown}; write %TLS_JA4_FINGERPRINT% instead`],
  ["UPSTREAM_LOCAL_SUBJECT", unknown],
  ["UPSTREAM_TRANSPORT_DURATION", unknown],
]);

/** The names of all operators that an Envoy may know, also in access logs. */
export const operatorNames: ReadonlySet<string> = new Set([...operatorForms.keys(), ...otherNames]);
