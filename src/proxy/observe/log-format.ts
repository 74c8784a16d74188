import { hostname } from "node:os";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { flagLetters } from "../http/response-flags.ts";

/** A compiled access log format: which fields must be captured, and how a line is made. */
export interface LogFormat {
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
  /** One line with its newline. */
  readonly line: (record: ExchangeRecord, capture: CaptureIndex) => string;
}

/** Where a captured field stands in the records of a listener. */
export interface CaptureIndex {
  readonly request: ReadonlyMap<string, number>;
  readonly response: ReadonlyMap<string, number>;
}

/** What Envoy writes when no format is given. */
export const envoyDefaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

type Part = (record: ExchangeRecord, capture: CaptureIndex) => string;

const operatorPattern = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%|%%|[^%]+|%/g;

/** Throws what `refuse` makes of an operator that is not known. Where values that are empty are left out, nothing stands for them. */
export function compileTextFormat(text: string, refuse: (operator: string) => Error, omitEmpty = false): LogFormat {
  const requestCapture: string[] = [];
  const responseCapture: string[] = [];
  const parts: Part[] = [];
  for (const match of text.matchAll(operatorPattern)) {
    const [whole, operator, argument, length] = match;
    if (operator === undefined) {
      parts.push(() => (whole === "%%" ? "%" : whole));
      continue;
    }
    const part = compileOperator(operator, argument, requestCapture, responseCapture);
    if (part === undefined) throw refuse(whole);
    const shown = omitEmpty ? omitting(part) : part;
    parts.push(length === undefined ? shown : (record, capture) => shown(record, capture).slice(0, Number(length)));
  }
  const line: LogFormat["line"] = (record, capture) => {
    let out = "";
    for (let index = 0; index < parts.length; index += 1) out += parts[index]?.(record, capture) ?? "";
    return out;
  };
  return { requestCapture, responseCapture, line };
}

function omitting(part: Part): Part {
  return (record, capture) => {
    const value = part(record, capture);
    return value === "-" ? "" : value;
  };
}

/** One JSON object a line; keys in the order given, objects and lists within it as they are. Where values that are empty are left out, so are their keys. */
export function compileJsonFormat(fields: Readonly<Record<string, unknown>>, refuse: (operator: string) => Error, omitEmpty = false): LogFormat {
  const formats: LogFormat[] = [];
  const compile = (value: unknown): JsonPart => {
    if (typeof value === "object" && value !== null) {
      const entries = Object.entries(value).map(([key, inner]) => [key, compile(inner)] as const);
      if (Array.isArray(value)) return (record, capture) => entries.map(([, part]) => part(record, capture));
      return (record, capture) => Object.fromEntries(entries.map(([key, part]) => [key, part(record, capture)] as const).filter(([, found]) => !omitEmpty || found !== null));
    }
    if (typeof value !== "string") return () => value;
    const format = compileTextFormat(value, refuse);
    formats.push(format);
    return (record, capture) => {
      const text = format.line(record, capture);
      return text === "-" ? null : /^\d{1,15}$/.test(text) ? Number(text) : text;
    };
  };
  const part = compile(fields);
  return {
    requestCapture: formats.flatMap((format) => format.requestCapture),
    responseCapture: formats.flatMap((format) => format.responseCapture),
    line: (record, capture) => `${JSON.stringify(part(record, capture))}\n`,
  };
}

type JsonPart = (record: ExchangeRecord, capture: CaptureIndex) => unknown;

const orDash = (text: string | undefined): string => (text === undefined || text === "" ? "-" : text);
const withoutPort = (address: string): string => address.slice(0, Math.max(0, address.lastIndexOf(":")));

const plain: Readonly<Record<string, Part>> = {
  START_TIME: (record) => new Date(record.startedMs).toISOString(),
  PROTOCOL: (record) => orDash(record.protocol),
  RESPONSE_CODE: (record) => String(record.status),
  RESPONSE_FLAGS: (record) => flagLetters(record.flag),
  RESPONSE_CODE_DETAILS: (record) => orDash(record.details),
  CONNECTION_TERMINATION_DETAILS: () => "-",
  UPSTREAM_TRANSPORT_FAILURE_REASON: (record) => orDash(record.transportFailure),
  BYTES_RECEIVED: (record) => String(record.receivedBytes),
  BYTES_SENT: (record) => String(record.sentBytes),
  DURATION: (record) => String(Math.round(record.durationMs)),
  REQUEST_DURATION: (record) => String(Math.round(record.durationMs)),
  RESPONSE_DURATION: (record) => (record.upstreamServiceMs < 0 ? "-" : String(record.upstreamServiceMs)),
  UPSTREAM_HOST: (record) => orDash(record.endpoint?.name),
  UPSTREAM_CLUSTER: (record) => orDash(record.cluster?.name),
  UPSTREAM_CLUSTER_RAW: (record) => orDash(record.cluster?.name),
  UPSTREAM_LOCAL_ADDRESS: (record) => orDash(record.upstreamLocal),
  UPSTREAM_REMOTE_ADDRESS: (record) => orDash(record.endpoint?.name),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (record) => orDash(withoutPort(record.endpoint?.name ?? "")),
  UPSTREAM_REMOTE_PORT: (record) => orDash(record.endpoint?.name.slice(record.endpoint.name.lastIndexOf(":") + 1)),
  DOWNSTREAM_LOCAL_ADDRESS: (record) => record.downstreamLocal,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: (record) => withoutPort(record.downstreamLocal),
  DOWNSTREAM_REMOTE_ADDRESS: (record) => record.downstreamRemote,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (record) => withoutPort(record.downstreamRemote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: (record) => record.downstreamRemote,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: (record) => withoutPort(record.downstreamRemote),
  REQUESTED_SERVER_NAME: (record) => orDash(record.connection.serverName ?? record.requestedServerName),
  DOWNSTREAM_PEER_URI_SAN: (record) => orDash(record.connection.tls?.peerIdentity),
  DOWNSTREAM_LOCAL_URI_SAN: (record) => orDash(record.connection.tls?.localIdentity),
  DOWNSTREAM_PEER_SUBJECT: (record) => orDash(record.connection.tls?.peerSubject()),
  DOWNSTREAM_PEER_FINGERPRINT_256: (record) => orDash(record.connection.tls?.peerCertificateHash()),
  DOWNSTREAM_LOCAL_PORT: (record) => record.downstreamLocal.slice(record.downstreamLocal.lastIndexOf(":") + 1),
  DOWNSTREAM_REMOTE_PORT: (record) => record.downstreamRemote.slice(record.downstreamRemote.lastIndexOf(":") + 1),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: () => "-",
  UPSTREAM_TRANSPORT_DURATION: () => "-",
  RESPONSE_TX_DURATION: () => "-",
  REQUEST_TX_DURATION: (record) => String(Math.round(record.durationMs)),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: () => "-",
  HOSTNAME: () => hostname(),
  ROUTE_NAME: (record) => orDash(record.routeName),
  GRPC_STATUS: (record) => orDash(record.grpcStatus),
};

const knownRequestFields: Readonly<Record<string, Part>> = {
  ":method": (record) => orDash(record.method),
  ":path": (record) => orDash(record.pathAndQuery),
  ":authority": (record) => orDash(record.authority),
  ":scheme": () => "http",
  "x-forwarded-for": (record) => orDash(record.forwardedFor),
  "user-agent": (record) => orDash(record.userAgent),
  "x-request-id": (record) => orDash(record.requestId),
};

function compileOperator(operator: string, argument: string | undefined, requestCapture: string[], responseCapture: string[]): Part | undefined {
  if (operator === "REQ_WITHOUT_QUERY") {
    const part = compileOperator("REQ", argument, requestCapture, responseCapture);
    return part === undefined ? undefined : (record, capture) => part(record, capture).replace(/\?.*$/, "");
  }
  if (operator === "REQ" || operator === "RESP") {
    const alternatives = (argument ?? "").toLowerCase().split("?").map((name) => fieldPart(operator, name, requestCapture, responseCapture));
    return (record, capture) => {
      for (const alternative of alternatives) {
        const value = alternative(record, capture);
        if (value !== "-") return value;
      }
      return "-";
    };
  }
  // What no request through here has: tracing, dynamic metadata and filter state.
  if (operator === "DYNAMIC_METADATA" || operator === "FILTER_STATE" || operator === "TRACE_ID") return () => "-";
  return plain[operator];
}

function fieldPart(operator: "REQ" | "RESP", name: string, requestCapture: string[], responseCapture: string[]): Part {
  if (operator === "RESP") {
    if (name === "x-envoy-upstream-service-time") return (record) => (record.upstreamServiceMs < 0 ? "-" : String(record.upstreamServiceMs));
    responseCapture.push(name);
    return (record, capture) => orDash(record.capturedResponse[capture.response.get(name) ?? -1]);
  }
  const known = knownRequestFields[name];
  if (known !== undefined) return known;
  requestCapture.push(name);
  return (record, capture) => orDash(record.capturedRequest[capture.request.get(name) ?? -1]);
}
