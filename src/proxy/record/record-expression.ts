import { create } from "@bufbuild/protobuf";
import { DurationSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ExchangeRecord } from "./exchange-record.ts";
import { flagLetters } from "../terms/response-flags.ts";
import type { CaptureIndex } from "./capture-index.ts";
import { compileCel, connectionAttributes } from "./cel-program.ts";
import { downstreamPeer, filterStates, upstreamPeer } from "./filter-states.ts";

/** A compiled expression (CEL) over Envoy's attributes of a request or connection that has ended. */
export interface RecordExpression {
  /** The request and response headers that the expression reads, in lower case. */
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
  /** Evaluates the expression. Returns undefined if it fails, or if an attribute that it reads is missing. */
  readonly evaluate: (record: ExchangeRecord, capture: CaptureIndex) => unknown;
}

/** Finds the headers that an expression reads, in the forms `request.headers['x']` and `'x' in request.headers`. */
const fieldPatterns = [
  /\b(?<of>request|response)\s*\.\s*headers\s*\[\s*(?<quote>['"])(?<name>[^'"]*)\k<quote>\s*\]/g,
  /(?<quote>['"])(?<name>[^'"]*)\k<quote>\s+in\s+(?<of>request|response)\s*\.\s*headers\b/g,
];

/** Compiles an expression. Throws the result of `refuse` for an invalid one. */
export function compileRecordExpression(text: string, refuse: (problem: string) => Error): RecordExpression {
  const program = compileCel(text, refuse);
  const fields = fieldPatterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(({ groups }) => ({
      parent: groups?.["of"],
      name: (groups?.["name"] ?? "").toLowerCase(),
    })),
  );
  const namesOf = (parent: string): string[] =>
    fields.filter((field) => field.parent === parent).map(({ name }) => name);
  const [requestCapture, responseCapture] = [namesOf("request"), namesOf("response")];
  return {
    requestCapture,
    responseCapture,
    evaluate: (record, capture) => program(attributesOf(record, capture, requestCapture, responseCapture)),
  };
}

/** Compiles a condition. `holds` returns false if the expression has no value, or one that is not a boolean. */
export function compileRecordCondition(
  text: string,
  refuse: (problem: string) => Error,
): RecordExpression & { readonly holds: (record: ExchangeRecord, capture: CaptureIndex) => boolean } {
  const expression = compileRecordExpression(text, refuse);
  return { ...expression, holds: (record, capture) => expression.evaluate(record, capture) === true };
}

/**
 * Envoy's attributes of a record. If a fact is missing, its attribute is absent, so an expression that reads it has no
 * value.
 */
function attributesOf(
  record: ExchangeRecord,
  capture: CaptureIndex,
  requestFields: readonly string[],
  responseFields: readonly string[],
): Readonly<Record<string, unknown>> {
  const { connection } = record;
  return {
    request: requestAttributes(record, captured(requestFields, capture.request, record.capturedRequest)),
    response: responseAttributes(record, captured(responseFields, capture.response, record.capturedResponse)),
    connection: connectionAttributes(connection, record.requestedServerName),
    source: { address: record.downstreamRemote, port: BigInt(connection.remote.port) },
    destination: { address: record.downstreamLocal, port: BigInt(connection.local.port) },
    upstream: {
      ...(record.endpoint === undefined ? {} : { address: record.endpoint.name }),
      ...(record.transportFailure === "" ? {} : { transport_failure_reason: record.transportFailure }),
    },
    xds: { cluster_name: record.cluster?.name ?? "", route_name: record.routeName },
    metadata: { filter_metadata: Object.fromEntries(record.metadata ?? []) },
    get filter_state() {
      return filterStates(connection, { downstream: downstreamPeer(record), upstream: upstreamPeer(record) });
    },
  };
}

/** The headers that a record has captured for the expression. A header with an empty value counts as missing. */
function captured(
  names: readonly string[],
  index: ReadonlyMap<string, number>,
  values: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name): [string, string][] => {
      const value = values[index.get(name) ?? -1];
      return value === undefined || value === "" ? [] : [[name, value]];
    }),
  );
}

/**
 * The attributes about HTTP. A record of a plain TCP connection has no method, and therefore none of these attributes.
 */
function requestAttributes(
  record: ExchangeRecord,
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const [path, query] = splitOnce(record.pathAndQuery, "?");
  const own = {
    ":authority": record.authority,
    ":method": record.method,
    ":path": record.pathAndQuery,
    "user-agent": record.userAgent,
    "x-request-id": record.requestId,
  };
  const ofHttp = {
    path: record.pathAndQuery,
    url_path: path,
    host: record.authority,
    method: record.method,
    scheme: record.connection.tls === undefined ? "http" : "https",
    headers: { ...own, ...headers },
  };
  return {
    ...(record.method === "" ? {} : ofHttp),
    ...(query === undefined ? {} : { query }),
    ...(record.userAgent === "" ? {} : { useragent: record.userAgent }),
    ...(record.requestId === "" ? {} : { id: record.requestId }),
    ...(record.protocol.length === 0 ? {} : { protocol: record.protocol }),
    size: BigInt(record.receivedBytes),
    total_size: BigInt(record.receivedBytes),
    duration: durationOf(record.durationMs),
    time: timestampFromMs(Math.round(record.startedMs)),
  };
}

function responseAttributes(
  record: ExchangeRecord,
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  return {
    ...(record.method === "" ? {} : { code: BigInt(record.status), headers }),
    code_details: record.details,
    flags: flagLetters(record.flag),
    size: BigInt(record.sentBytes),
    total_size: BigInt(record.sentBytes),
    ...(record.grpcStatus === "" || !/^\d{1,10}$/.test(record.grpcStatus)
      ? {}
      : { grpc_status: BigInt(record.grpcStatus) }),
  };
}

const msPerSecond = 1000;
const nanosPerMs = 1_000_000;

function durationOf(ms: number) {
  const seconds = Math.floor(ms / msPerSecond);
  return create(DurationSchema, {
    seconds: BigInt(seconds),
    nanos: Math.round((ms - seconds * msPerSecond) * nanosPerMs),
  });
}

function splitOnce(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
