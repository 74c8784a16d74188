import { hostname } from "node:os";
import { ownField } from "../../base/index.ts";
import { operatorNames } from "../../base/command-operators/index.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { addressText } from "../terms/address-text.ts";
import { headText, textOfHead } from "../terms/header-text.ts";
import { flagLetters, flagNames } from "../terms/response-flags.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { downstreamPeer, peerFields, upstreamPeer } from "./filter-states.ts";
import type { ValueLetters, ValueSpan } from "./line-composer.ts";
import type { LineNumber, LogPart } from "./line-template.ts";
import { compileTimeFormat, isoTime } from "./log-time.ts";
import { valueText } from "./cel-program.ts";
import { compileRecordExpression } from "./record-expression.ts";

/**
 * The names (lower case) of the headers of request and response that a format needs. Compiling an operator adds those
 * that it reads.
 */
export interface Captures {
  readonly request: string[];
  readonly response: string[];
}

const orDash = (text: string | undefined): string => (text === undefined || text === "" ? "-" : text);
/** The address without its port, and without the brackets of IPv6, which only separate the two. */
const withoutPort = (address: string): string =>
  address.startsWith("[")
    ? address.slice(1, address.lastIndexOf("]"))
    : address.slice(0, Math.max(0, address.lastIndexOf(":")));
/** The peer of the connection itself. `downstreamRemote` is the client that a PROXY header names, if there is one. */
const directRemoteOf = ({ connection, downstreamRemote }: ExchangeRecord): string =>
  connection.directRemote === undefined ? downstreamRemote : addressText(connection.directRemote);
const portOf = (address: string): string => address.slice(address.lastIndexOf(":") + 1);
const host = hostname();
const percent = (text: string): string => encodeURIComponent(text);
const endpointOf = (record: ExchangeRecord): string => record.endpoint?.name ?? "";

const plain: Readonly<Record<string, LogPart>> = {
  ACCESS_LOG_TYPE: (record) => (record.method === "" ? "TcpConnectionEnd" : "DownstreamEnd"),
  BYTES_RECEIVED: (record) => String(record.receivedBytes),
  BYTES_SENT: (record) => String(record.sentBytes),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: directRemoteOf,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: (record) => withoutPort(directRemoteOf(record)),
  DOWNSTREAM_DIRECT_REMOTE_PORT: (record) => portOf(directRemoteOf(record)),
  DOWNSTREAM_LOCAL_ADDRESS: (record) => record.downstreamLocal,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: (record) => withoutPort(record.downstreamLocal),
  DOWNSTREAM_LOCAL_PORT: (record) => portOf(record.downstreamLocal),
  DOWNSTREAM_LOCAL_URI_SAN: (record) => orDash(record.connection.tls?.localIdentity),
  DOWNSTREAM_PEER_CERT: (record) => orDash(percent(record.connection.tls?.peerCertificate() ?? "")),
  DOWNSTREAM_PEER_DNS_SAN: (record) => orDash(record.connection.tls?.peerDnsNames().join(",")),
  DOWNSTREAM_PEER_FINGERPRINT_256: (record) => orDash(record.connection.tls?.peerCertificateHash()),
  DOWNSTREAM_PEER_SUBJECT: (record) => orDash(record.connection.tls?.peerSubject()),
  DOWNSTREAM_PEER_URI_SAN: (record) => orDash(record.connection.tls?.peerUris().join(",")),
  DOWNSTREAM_REMOTE_ADDRESS: (record) => record.downstreamRemote,
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (record) => withoutPort(record.downstreamRemote),
  DOWNSTREAM_REMOTE_PORT: (record) => portOf(record.downstreamRemote),
  DURATION: (record) => String(Math.round(record.durationMs)),
  GRPC_STATUS_NUMBER: (record) => orDash(record.grpcStatus),
  HOSTNAME: () => host,
  PROTOCOL: (record) => orDash(record.protocol),
  REQUESTED_SERVER_NAME: (record) => orDash(record.connection.serverName ?? record.requestedServerName),
  RESPONSE_CODE: (record) => String(record.status),
  RESPONSE_CODE_DETAILS: (record) => orDash(record.details),
  RESPONSE_DURATION: (record) => (record.answeredAfterMs < 0 ? "-" : String(Math.round(record.answeredAfterMs))),
  RESPONSE_FLAGS: (record) => flagLetters(record.flag),
  RESPONSE_FLAGS_LONG: (record) => flagNames(record.flag),
  RESPONSE_TX_DURATION: (record) =>
    record.answeredAfterMs < 0 ? "-" : String(Math.max(0, Math.round(record.durationMs - record.answeredAfterMs))),
  ROUTE_NAME: (record) => orDash(record.routeName),
  SPAN_ID: (record) => orDash(record.trace?.sampled === true ? record.trace.spanId : undefined),
  STREAM_ID: (record) => orDash(record.requestId),
  TRACE_ID: (record) => orDash(record.trace?.traceId),
  UPSTREAM_CLUSTER: (record) => orDash(record.cluster?.name),
  UPSTREAM_CLUSTER_RAW: (record) => orDash(record.cluster?.name),
  UPSTREAM_HOST: (record) => orDash(endpointOf(record)),
  UPSTREAM_HOST_NAME: (record) => orDash(record.endpoint?.config.hostname ?? endpointOf(record)),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: (record) =>
    orDash(record.endpoint?.config.hostname ?? withoutPort(endpointOf(record))),
  UPSTREAM_LOCAL_ADDRESS: (record) => orDash(record.upstreamLocal),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: (record) => orDash(withoutPort(record.upstreamLocal)),
  UPSTREAM_LOCAL_PORT: (record) => orDash(portOf(record.upstreamLocal)),
  UPSTREAM_PEER_URI_SAN: (record) => orDash(record.endpoint?.peerIdentity),
  UPSTREAM_REMOTE_ADDRESS: (record) => orDash(endpointOf(record)),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (record) => orDash(withoutPort(endpointOf(record))),
  UPSTREAM_REMOTE_PORT: (record) => orDash(portOf(endpointOf(record))),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (record) => String(record.endpoint === undefined ? 0 : record.retries + 1),
  UPSTREAM_TRANSPORT_FAILURE_REASON: (record) => orDash(record.transportFailure),
};

/**
 * The part for operators of Envoy that never have a value in this proxy, because it does not measure what they show.
 */
export const noValue: LogPart = () => "-";

/** Operators whose value is a number in JSON. */
export const numericOperators: ReadonlySet<string> = new Set([
  "BYTES_RECEIVED",
  "BYTES_SENT",
  "DURATION",
  "GRPC_STATUS_NUMBER",
  "RESPONSE_CODE",
  "RESPONSE_DURATION",
  "RESPONSE_TX_DURATION",
  "UPSTREAM_REQUEST_ATTEMPT_COUNT",
  "DOWNSTREAM_LOCAL_PORT",
  "DOWNSTREAM_REMOTE_PORT",
  "DOWNSTREAM_DIRECT_REMOTE_PORT",
  "UPSTREAM_REMOTE_PORT",
  "UPSTREAM_LOCAL_PORT",
]);

const knownRequestFields: Readonly<Record<string, LogPart>> = {
  ":method": (record) => orDash(record.method),
  ":path": (record) => orDash(record.pathAndQuery),
  ":authority": (record) => orDash(record.authority),
  host: (record) => orDash(record.authority),
  ":scheme": (record) => (record.connection.tls === undefined ? "http" : "https"),
  "x-forwarded-for": (record) => orDash(record.forwardedFor),
  "user-agent": (record) => orDash(record.userAgent),
  "x-request-id": (record) => orDash(record.requestId),
};

const ofKind =
  /^(?:DOWNSTREAM_.*|REQUESTED_SERVER_NAME|HOSTNAME|ENVIRONMENT|ACCESS_LOG_TYPE|PROTOCOL|RESPONSE_CODE.*|RESPONSE_FLAGS.*|GRPC_STATUS.*|ROUTE_NAME|UPSTREAM_TRANSPORT_FAILURE_REASON)$/;
const ofWay = /^UPSTREAM_(?:HOST|HOST_NAME|CLUSTER|CLUSTER_RAW|(?:LOCAL|REMOTE)_(?:ADDRESS|PORT))(?:_WITHOUT_PORT)?$/;
const fieldsOfKind = new Set([":method", ":authority", "host", ":scheme", "x-forwarded-for", "user-agent"]);

export function spanOf(operator: string, argument: string | undefined): ValueSpan {
  if (ofWay.test(operator)) return "way";
  return (operator === "REQ" ? fieldsOfKind.has((argument ?? "").toLowerCase()) : ofKind.test(operator))
    ? "kind"
    : "request";
}

const ofHead = /^(?:REQ|REQ_WITHOUT_QUERY|RESP|TRAILER|PATH|QUERY_PARAMS|GRPC_STATUS(?:_NUMBER)?)$/;

export function lettersOf(operator: string): ValueLetters {
  return ofHead.test(operator) ? "head" : "text";
}

const quickNumbers: Readonly<Record<string, LineNumber>> = {
  START_TIME: "startedMs",
  BYTES_RECEIVED: "receivedBytes",
  BYTES_SENT: "sentBytes",
  DURATION: "durationMs",
  RESPONSE_DURATION: "answeredAfterMs",
  RESP: "upstreamServiceMs",
};

/** The number that an operator shows. Undefined for an operator that shows a text. */
export function quickNumberOf(operator: string | undefined, argument: string | undefined): LineNumber | undefined {
  const name = argument?.toLowerCase() ?? "";
  if (operator === undefined || (operator === "START_TIME" && name !== "")) return undefined;
  return operator === "RESP" && name !== "x-envoy-upstream-service-time" ? undefined : ownField(quickNumbers, operator);
}

export function isRequestId(operator: string | undefined, argument: string | undefined): boolean {
  return operator === "STREAM_ID" || (operator === "REQ" && argument?.toLowerCase() === "x-request-id");
}

/** The request's values that are header bytes or ASCII text of our own, so that each character is one byte. */
const plainBytes = new Set([":path", "x-request-id"]);

/**
 * A faster way to read a value of the request in which each character is one byte. If the operator names several
 * headers, it reads the first one that is present. Returns undefined for operators without such a value.
 */
export function quickPartOf(operator: string | undefined, argument: string | undefined): LogPart | undefined {
  if (operator !== "REQ") return undefined;
  const names = (argument ?? "").toLowerCase().split("?");
  const last = names.at(-1) ?? "";
  const before = names.slice(0, -1);
  const part = plainBytes.has(last) ? ownField(knownRequestFields, last) : undefined;
  if (part === undefined || before.some((name) => ownField(knownRequestFields, name) !== undefined)) return undefined;
  if (before.length === 0) return part;
  let known: CaptureIndex | undefined;
  let indexes: readonly number[] = [];
  return (record, capture) => {
    if (capture !== known) {
      indexes = before.map((name) => capture.request.get(name) ?? -1);
      known = capture;
    }
    for (let at = 0; at < indexes.length; at += 1) {
      const value = record.capturedRequest[indexes[at] ?? -1];
      if (value !== undefined && value !== "") return headText(value);
    }
    return part(record, capture);
  };
}

const ofOneLine = /^(?:START_TIME|EMIT_TIME)(?:_LOCAL)?$/;

/**
 * Whether a value of this operator may contain control characters. Decoded values may (tokens, certificates, metadata
 * of peers). Headers cannot.
 */
export function mayHoldControls(operator: string): boolean {
  return !ofOneLine.test(operator) && !ofHead.test(operator) && !numericOperators.has(operator);
}

/**
 * Compiles an operator of a log format. Returns undefined for an operator, or an argument, that Envoy does not have
 * either.
 */
export function compileOperator(
  operator: string,
  argument: string | undefined,
  captures: Captures,
): LogPart | undefined {
  const known = ownField(plain, operator);
  if (known !== undefined) return known;
  const path = (argument ?? "").split(":");
  switch (operator) {
    case "START_TIME":
    case "START_TIME_LOCAL":
      return timePart(argument, (record) => record.startedMs);
    case "EMIT_TIME":
    case "EMIT_TIME_LOCAL":
      return timePart(argument, (record) => record.startedMs + record.durationMs);
    case "REQUEST_HEADER":
      return compileOperator("REQ", argument, captures);
    case "RESPONSE_HEADER":
      return compileOperator("RESP", argument, captures);
    case "RESPONSE_TRAILER":
      return compileOperator("TRAILER", argument, captures);
    case "REQ":
    case "RESP":
      return firstOf(
        (argument ?? "")
          .toLowerCase()
          .split("?")
          .map((name) => fieldPart(operator, name, captures)),
      );
    case "REQ_WITHOUT_QUERY": {
      const part = compileOperator("REQ", argument, captures);
      return part === undefined ? undefined : (record, capture) => part(record, capture).replace(/\?.*$/s, "");
    }
    case "TRAILER":
      return firstOf(
        (argument ?? "")
          .toLowerCase()
          .split("?")
          .map((name) => (record) => trailerOf(record, name)),
      );
    case "GRPC_STATUS":
      return grpcStatusPart(argument);
    case "DYNAMIC_METADATA":
      return ({ metadata }) => valueAt(metadata?.get(path[0] ?? ""), path.slice(1));
    case "METADATA":
      return path[0] === "DYNAMIC" ? ({ metadata }) => valueAt(metadata?.get(path[1] ?? ""), path.slice(2)) : noValue;
    case "FILTER_STATE":
    case "UPSTREAM_FILTER_STATE":
      return filterStatePart(path);
    case "ENVIRONMENT": {
      const value = orDash(ownField(process.env, argument ?? ""));
      return () => value;
    }
    case "QUERY_PARAM":
      return ({ pathAndQuery }) =>
        orDash(new URLSearchParams(queryOf(textOfHead(pathAndQuery))).get(argument ?? "") ?? undefined);
    case "QUERY_PARAMS":
      return ({ pathAndQuery }) => orDash(queryOf(pathAndQuery));
    case "PATH":
      return path[0] === "NQ"
        ? ({ pathAndQuery }) => orDash(pathAndQuery.replace(/\?.*$/s, ""))
        : ({ pathAndQuery }) => orDash(pathAndQuery);
    case "CEL":
      return expressionPart(argument ?? "", captures);
    default:
      return operatorNames.has(operator) ? noValue : undefined;
  }
}

function timePart(format: string | undefined, timeOf: (record: ExchangeRecord) => number): LogPart | undefined {
  const written = format === undefined || format === "" ? isoTime() : compileTimeFormat(format);
  return written === undefined ? undefined : (record) => written(timeOf(record));
}

function firstOf(alternatives: readonly LogPart[]): LogPart {
  const [only] = alternatives;
  if (alternatives.length === 1 && only !== undefined) return only;
  return (record, capture) => {
    for (const alternative of alternatives) {
      const value = alternative(record, capture);
      if (value !== "-") return value;
    }
    return "-";
  };
}

function fieldPart(operator: "REQ" | "RESP", name: string, captures: Captures): LogPart {
  if (operator === "RESP") {
    if (name === ":status") return (record) => String(record.status);
    if (name === "x-envoy-upstream-service-time")
      return (record) => (record.upstreamServiceMs < 0 ? "-" : String(record.upstreamServiceMs));
    captures.response.push(name);
    return (record, capture) => orDash(record.capturedResponse[capture.response.get(name) ?? -1]);
  }
  const known = ownField(knownRequestFields, name);
  if (known !== undefined) return known;
  captures.request.push(name);
  return (record, capture) => orDash(record.capturedRequest[capture.request.get(name) ?? -1]);
}

function trailerOf({ trailers }: ExchangeRecord, name: string): string {
  for (let at = 0; at < trailers.length; at += 2) if (trailers[at] === name) return orDash(trailers[at + 1]);
  return "-";
}

const grpcNames = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

function grpcStatusPart(format: string | undefined): LogPart | undefined {
  if (format === "NUMBER") return (record) => orDash(record.grpcStatus);
  if (format !== undefined && format !== "" && format !== "CAMEL_STRING" && format !== "SNAKE_STRING") return undefined;
  return ({ grpcStatus }) => {
    const name = grpcStatus === "" ? "-" : (grpcNames[Number(grpcStatus)] ?? grpcStatus);
    return format === "SNAKE_STRING" && name !== "OK"
      ? name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()
      : name;
  };
}

function valueAt(from: unknown, keys: readonly string[]): string {
  let value = from;
  for (const key of keys)
    value =
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (Reflect.get(value, key) as unknown)
        : undefined;
  if (value === undefined || value === null) return "-";
  return typeof value === "string" ? orDash(value) : JSON.stringify(value);
}

/** The name of the metadata that Istio's filters store about both ends, in all forms that releases have used. */
const peerKey = /^(?:wasm\.)?(upstream|downstream)_peer(?:_obj)?$/;

function filterStatePart([key = "", form, field = ""]: readonly string[]): LogPart {
  const peer = peerKey.exec(key)?.[1];
  if (peer !== undefined) {
    return (record) => {
      const labels = peer === "downstream" ? downstreamPeer(record) : upstreamPeer(record);
      if (labels === undefined) return "-";
      const fields = peerFields(labels);
      return form === "FIELD" ? orDash(ownField(fields, field)) : peerText(fields, labels.labels);
    };
  }
  if (key === "io.istio.peer_principal") return (record) => orDash(record.connection.tls?.peerIdentity);
  if (key === "io.istio.local_principal") return (record) => orDash(record.connection.tls?.localIdentity);
  return noValue;
}

function peerText(fields: Readonly<Record<string, string>>, labels: WorkloadLabels["labels"] = {}): string {
  const named = Object.entries(labels).map(([name, value]): [string, string] => [`labels[]${name}`, value]);
  return [...Object.entries(fields), ...named].map(([name, value]) => `${name}=${value}`).join(",");
}

function queryOf(pathAndQuery: string): string {
  const at = pathAndQuery.indexOf("?");
  return at < 0 ? "" : pathAndQuery.slice(at + 1);
}

function expressionPart(text: string, captures: Captures): LogPart {
  const { requestCapture, responseCapture, evaluate } = compileRecordExpression(text, (problem) => new Error(problem));
  captures.request.push(...requestCapture);
  captures.response.push(...responseCapture);
  return (record, capture) => {
    const value = evaluate(record, capture);
    if (value === undefined || value === null) return "-";
    return orDash(valueText(value));
  };
}
