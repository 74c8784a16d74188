import type { ExchangeRecord } from "../record/exchange-record.ts";
import { beginningOf } from "../terms/beginning-of.ts";
import { textOfHead } from "../terms/header-text.ts";
import { flagLetters } from "../terms/response-flags.ts";
import type { CaptureIndex } from "../record/capture-index.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import type { TracedNode } from "./traced-node.ts";

export interface CustomSpanTag {
  readonly name: string;
  /** The value of the tag. If it is undefined or empty, the span lacks the tag. */
  readonly valueOf: (record: ExchangeRecord, capture: CaptureIndex) => string | undefined;
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface TagContext {
  readonly record: ExchangeRecord;
  readonly capture: CaptureIndex;
  readonly customTags: readonly CustomSpanTag[];
  readonly node: TracedNode;
}

/**
 * The maximum length of the values of all custom tags of a span together. What exceeds it is cut off, because spans
 * wait in memory for their collector.
 */
export const maxCustomLength = 32_768;
/** The maximum length of another value that the client chooses. */
const maxTagLength = 4096;

/**
 * The name of the span's operation: the one that the client sets (on the server's side), or else the route's, or else a
 * name that depends on the proxy's side.
 */
export function operationOf(
  record: ExchangeRecord,
  { operationGiven }: Pick<RequestTrace, "operationGiven">,
  side: "ingress" | "egress",
): string {
  if (side === "ingress" && operationGiven !== undefined && operationGiven !== "")
    return beginningOf(operationGiven, maxTagLength);
  if (record.operation !== "") return record.operation;
  return side === "egress" ? `egress ${beginningOf(record.authority, maxTagLength)}` : "ingress";
}

/** Envoy's tags of the span for the client's request. */
export function downstreamTags(context: TagContext, maxPathLength: number): ReadonlyMap<string, string> {
  const { record, node } = context;
  const { remote } = record.connection;
  const authority = beginningOf(record.authority, maxTagLength);
  const tags = new Map<string, string>([
    ["node_id", node.id],
    ["zone", node.zone],
  ]);
  if (record.requestId !== "") tags.set("guid:x-request-id", record.requestId);
  tags.set(
    "http.url",
    textOfHead(
      `${record.connection.tls === undefined ? "http" : "https"}://${authority}${record.pathAndQuery.slice(0, maxPathLength)}`,
    ),
  );
  tags.set("http.method", record.method);
  tags.set("downstream_cluster", "-");
  tags.set("user_agent", record.userAgent === "" ? "-" : textOfHead(beginningOf(record.userAgent, maxTagLength)));
  tags.set("http.protocol", record.protocol);
  tags.set("peer.address", remote.address);
  if (record.isGrpc) {
    tags.set("grpc.path", textOfHead(beginningOf(record.pathAndQuery, maxTagLength)));
    tags.set("grpc.authority", authority);
  }
  tags.set("request_size", String(record.receivedBytes));
  tags.set("response_size", String(record.sentBytes));
  addCommon(tags, context);
  return tags;
}

/** Envoy's tags of the span for the request to an endpoint. */
export function upstreamTags(context: TagContext): ReadonlyMap<string, string> {
  const { record } = context;
  const tags = new Map<string, string>([["http.protocol", record.protocol]]);
  if (record.endpoint !== undefined) {
    tags.set("upstream_address", record.endpoint.name);
    tags.set("peer.address", record.endpoint.name);
  }
  if (record.retries > 0) tags.set("retry.count", String(record.retries));
  addCommon(tags, context);
  return tags;
}

const serverError = 500;
/**
 * gRPC statuses that are the server's fault: unknown, deadline exceeded, resource exhausted, unimplemented, internal,
 * unavailable, data loss.
 */
const grpcServerErrors = new Set(["2", "4", "8", "12", "13", "14", "15"]);

function addCommon(tags: Map<string, string>, { record, capture, customTags }: TagContext): void {
  tags.set("component", "proxy");
  if (record.cluster !== undefined) {
    tags.set("upstream_cluster", record.cluster.name);
    tags.set("upstream_cluster.name", record.cluster.name);
  }
  tags.set("http.status_code", String(record.status));
  tags.set("response_flags", flagLetters(record.flag));
  if (record.grpcStatus !== "") tags.set("grpc.status_code", record.grpcStatus);
  if (record.status === 0 || record.status >= serverError || grpcServerErrors.has(record.grpcStatus))
    tags.set("error", "true");
  let room = maxCustomLength;
  for (const { name, valueOf } of customTags) {
    if (room <= 0) break;
    const value = valueOf(record, capture);
    if (value === undefined || value === "") continue;
    tags.set(name, beginningOf(value, room));
    room -= value.length;
  }
}
