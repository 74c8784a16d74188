import { ownField } from "../../base/index.ts";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { CaptureIndex } from "../record/capture-index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { downstreamPeer, upstreamPeer } from "../record/filter-states.ts";
import { eachFlag, responseFlags, type PlainFlag } from "../terms/response-flags.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import { parseAuthority } from "../../wire/hbone/index.ts";
import { maxExportBytes, type EncodeBatch } from "./batch-exporter.ts";
import type { TracedNode } from "./traced-node.ts";

// Envoy's access log service (envoy.service.accesslog.v3, envoy.data.accesslog.v3). Field numbers are those of its
// .proto files.

/** One encoded entry. It is encoded at once, because its record refers to memory of the exchange. */
export type ServiceLogEntry = Uint8Array;

export interface EntryFields {
  readonly requestHeaders: readonly string[];
  readonly responseHeaders: readonly string[];
  readonly responseTrailers: readonly string[];
  /** The names of the filter states (the workloads at both ends) that entries contain. */
  readonly filterStates: ReadonlySet<string>;
}

/** The request's headers that every entry contains, whatever the configuration is. */
export const capturedForEntries = ["referer", "x-envoy-original-path"];

/** The maximum length of a text. Longer texts are cut, because entries wait in memory. */
const maxTextChars = 4096;
const msPerSecond = 1000;
const nanosPerMs = 1_000_000;

const batchFields = { http: 2, tcp: 3 } as const;

/** Encodes batches of entries as StreamAccessLogsMessage. Each message names the sender. */
export function serviceLogs(kind: "http" | "tcp", logName: string, node: TracedNode): EncodeBatch<ServiceLogEntry> {
  const identifier = message((writer) => {
    submessage(writer, 1, (inner) => text(text(inner, 1, node.id), 2, node.service));
    text(writer, 2, logName);
  });
  // The size of a message around its entries, with a tag and a length for each.
  const overheadBytes = 64 + identifier.length;
  return (items) => {
    let [taken, bytes] = [0, overheadBytes];
    for (const item of items) {
      bytes += item.length + 8;
      if (bytes > maxExportBytes) break;
      taken += 1;
    }
    const written = message((writer) => {
      writer.uint32(tagOf(1)).bytes(identifier);
      submessage(writer, batchFields[kind], (entries) => {
        for (const item of items.slice(0, taken)) entries.uint32(tagOf(1)).bytes(item);
      });
    });
    return Promise.resolve({ message: Buffer.from(written), taken });
  };
}

export function httpEntry(record: ExchangeRecord, capture: CaptureIndex, fields: EntryFields): ServiceLogEntry {
  return message((writer) => {
    submessage(writer, 1, (common) => writeCommon(common, record, fields));
    number(writer, 2, protocols[record.protocol] ?? 0);
    submessage(writer, 3, (request) => writeRequest(request, record, capture, fields));
    submessage(writer, 4, (response) => writeResponse(response, record, capture, fields));
  });
}

export function tcpEntry(record: ExchangeRecord, _capture: CaptureIndex, fields: EntryFields): ServiceLogEntry {
  return message((writer) => {
    submessage(writer, 1, (common) => writeCommon(common, record, fields));
    submessage(writer, 2, (connection) => number(number(connection, 1, record.receivedBytes), 2, record.sentBytes));
  });
}

const protocols: Readonly<Record<string, number>> = { "HTTP/1.0": 1, "HTTP/1.1": 2, "HTTP/2": 3 };
const methods: Readonly<Record<string, number>> = {
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  CONNECT: 6,
  OPTIONS: 7,
  TRACE: 8,
  PATCH: 9,
};

function writeCommon(writer: BinaryWriter, record: ExchangeRecord, { filterStates }: EntryFields): void {
  const { connection, endpoint, cluster } = record;
  address(writer, 2, placeOf(record.downstreamRemote) ?? connection.remote);
  address(writer, 3, placeOf(record.downstreamLocal) ?? connection.local);
  if (connection.tls !== undefined) submessage(writer, 4, (tls) => writeTls(tls, connection));
  submessage(writer, 5, (start) => writeTime(start, record.startedMs));
  submessage(writer, 12, (sent) => writeTime(sent, record.durationMs));
  if (endpoint !== undefined) address(writer, 13, { address: endpoint.config.address, port: endpoint.config.port });
  const local = placeOf(record.upstreamLocal);
  if (local !== undefined) address(writer, 14, local);
  text(writer, 15, cluster?.name ?? "");
  const fields = eachFlag(record.flag).flatMap((flag) => flagFields[flag] ?? []);
  if (fields.length > 0)
    submessage(writer, 16, (flags) => {
      for (const field of fields) writeFlag(flags, field);
    });
  text(writer, 18, record.transportFailure);
  text(writer, 19, record.routeName);
  address(writer, 20, connection.directRemote ?? connection.remote);
  const peers = [
    ["downstream_peer", downstreamPeer(record)],
    ["upstream_peer", upstreamPeer(record)],
  ] as const;
  for (const [name, peer] of peers)
    if (peer !== undefined && filterStates.has(name)) entry(writer, 21, name, (any) => writePeer(any, peer));
  submessage(writer, 23, (duration) => writeTime(duration, record.durationMs));
  if (endpoint !== undefined) number(writer, 24, record.retries + 1);
}

function writeTls(writer: BinaryWriter, { tls, serverName }: ConnectionInfo): void {
  if (tls === undefined) return;
  text(writer, 3, tls.serverName === "" ? (serverName ?? "") : tls.serverName);
  const certificate =
    (identity: string, subject: string) =>
    (properties: BinaryWriter): void => {
      if (identity !== "") submessage(properties, 1, (name) => text(name, 1, identity));
      text(properties, 2, subject);
    };
  submessage(writer, 4, certificate(tls.localIdentity, ""));
  submessage(writer, 5, certificate(tls.peerIdentity, tls.peerSubject()));
}

function writeRequest(
  writer: BinaryWriter,
  record: ExchangeRecord,
  capture: CaptureIndex,
  { requestHeaders }: EntryFields,
): void {
  const field = (name: string): string => record.capturedRequest[capture.request.get(name) ?? -1] ?? "";
  number(writer, 1, ownField(methods, record.method) ?? 0);
  if (record.method !== "") text(writer, 2, record.connection.tls === undefined ? "http" : "https");
  text(writer, 3, record.authority);
  text(writer, 5, record.pathAndQuery);
  text(writer, 6, record.userAgent);
  text(writer, 7, field("referer"));
  text(writer, 8, record.forwardedFor);
  text(writer, 9, record.requestId);
  text(writer, 10, field("x-envoy-original-path"));
  number(writer, 12, record.receivedBytes);
  for (const name of requestHeaders) textEntry(writer, 13, name, field(name));
}

function writeResponse(
  writer: BinaryWriter,
  record: ExchangeRecord,
  capture: CaptureIndex,
  { responseHeaders, responseTrailers }: EntryFields,
): void {
  if (record.status !== 0) submessage(writer, 1, (code) => number(code, 1, record.status));
  number(writer, 3, record.sentBytes);
  for (const name of responseHeaders)
    textEntry(writer, 4, name, record.capturedResponse[capture.response.get(name) ?? -1] ?? "");
  for (let at = 0; at + 1 < record.trailers.length; at += 2)
    if (responseTrailers.includes(record.trailers[at] ?? ""))
      textEntry(writer, 5, record.trailers[at] ?? "", record.trailers[at + 1] ?? "");
  text(writer, 6, record.details);
}

/** The fields of the message ResponseFlags, by our flags. */
const flagFields: Readonly<Partial<Record<PlainFlag, number>>> = {
  [responseFlags.noHealthyUpstream]: 2,
  [responseFlags.upstreamRequestTimeout]: 3,
  [responseFlags.upstreamRemoteReset]: 5,
  [responseFlags.upstreamConnectionFailure]: 6,
  [responseFlags.upstreamConnectionTermination]: 7,
  [responseFlags.upstreamOverflow]: 8,
  [responseFlags.noRouteFound]: 9,
  [responseFlags.delayInjected]: 10,
  [responseFlags.faultInjected]: 11,
  [responseFlags.rateLimited]: 12,
  [responseFlags.unauthorizedExternal]: 13,
  [responseFlags.downstreamConnectionTermination]: 15,
  [responseFlags.upstreamRetryLimitExceeded]: 16,
  [responseFlags.streamIdleTimeout]: 17,
  [responseFlags.downstreamProtocolError]: 19,
  [responseFlags.durationTimeout]: 23,
  [responseFlags.upstreamProtocolError]: 24,
  [responseFlags.noClusterFound]: 25,
  [responseFlags.dnsResolutionFailed]: 27,
};
const unauthorizedField = 13;

function writeFlag(writer: BinaryWriter, field: number): void {
  // A refusal by an external authorization service is the only flag with a detail.
  if (field === unauthorizedField) submessage(writer, field, (details) => number(details, 1, 1));
  else writer.uint32(field << 3).bool(true);
}

/** Writes a google.protobuf.Any that contains a Struct with a workload's metadata. */
function writePeer(
  writer: BinaryWriter,
  { workload, namespace, canonicalName, canonicalRevision, cluster, labels = {} }: WorkloadLabels,
): void {
  text(writer, 1, "type.googleapis.com/google.protobuf.Struct");
  const value =
    (given: string) =>
    (inner: BinaryWriter): BinaryWriter =>
      text(inner, 3, given);
  submessage(writer, 2, (struct) => {
    entry(struct, 1, "NAMESPACE", value(namespace));
    entry(struct, 1, "WORKLOAD_NAME", value(workload));
    entry(struct, 1, "CLUSTER_ID", value(cluster));
    entry(struct, 1, "LABELS", (field) => {
      submessage(field, 5, (inner) => {
        for (const [name, given] of Object.entries(labels)) entry(inner, 1, name, value(given));
        entry(inner, 1, "service.istio.io/canonical-name", value(canonicalName));
        entry(inner, 1, "service.istio.io/canonical-revision", value(canonicalRevision));
      });
    });
  });
}

/** Writes a point in time (Unix time) or a duration, both in milliseconds. */
function writeTime(writer: BinaryWriter, ms: number): void {
  const seconds = Math.floor(ms / msPerSecond);
  number(number(writer, 1, seconds), 2, Math.round((ms - seconds * msPerSecond) * nanosPerMs));
}

/** Writes an envoy.config.core.v3.Address with a socket address. */
function address(writer: BinaryWriter, field: number, place: Pick<SocketAddress, "address" | "port">): void {
  if (place.address === "") return;
  submessage(writer, field, (outer) => {
    submessage(outer, 1, (socket) => number(text(socket, 2, place.address), 3, place.port));
  });
}

/** Parses `ip:port`. Returns undefined if the text is invalid. */
function placeOf(written: string): Pick<SocketAddress, "address" | "port"> | undefined {
  const parsed = written === "" ? undefined : parseAuthority(written);
  return parsed === undefined ? undefined : { address: parsed.host, port: parsed.port };
}

function message(write: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

const lengthDelimited = 2;

function tagOf(field: number): number {
  return (field << 3) | lengthDelimited;
}

function submessage(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => unknown): BinaryWriter {
  writer.uint32(tagOf(field)).fork();
  write(writer);
  return writer.join();
}

function entry(
  writer: BinaryWriter,
  field: number,
  key: string,
  write: (value: BinaryWriter) => unknown,
): BinaryWriter {
  return submessage(writer, field, (pair) => submessage(text(pair, 1, key), 2, write));
}

function textEntry(writer: BinaryWriter, field: number, key: string, value: string): void {
  if (value !== "") submessage(writer, field, (pair) => text(text(pair, 1, key), 2, value));
}

function text(writer: BinaryWriter, field: number, value: string): BinaryWriter {
  return value === "" ? writer : writer.uint32(tagOf(field)).string(value.slice(0, maxTextChars).toWellFormed());
}

function number(writer: BinaryWriter, field: number, value: number): BinaryWriter {
  return value <= 0 ? writer : writer.uint32(field << 3).uint64(Math.round(value));
}
