import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock } from "../../base/index.ts";
import type { ClusterRequest } from "../terms/call-cluster.ts";
import { FilterStatistics } from "../terms/filter-statistics.ts";
import { BatchExporter, maxExportBytes, type EncodeBatch } from "./batch-exporter.ts";
import { otlpLogs, type LogItem } from "./otlp-logs.ts";
import { otlpSpans } from "./otlp-spans.ts";
import type { Span } from "./span.ts";
import { zipkinSpans } from "./zipkin-spans.ts";

const half = Math.floor(maxExportBytes / 2);
const spanOf = (size: number): Span => ({
  traceId: "0123456789abcdef",
  spanId: "0123456789abcdef",
  parentSpanId: undefined,
  isParentRemote: true,
  name: "ingress",
  kind: "server",
  startMs: 1,
  durationMs: 1,
  tags: new Map([["agent", "x".repeat(size)]]),
});
const lineOf = (size: number): LogItem => ({ timeMs: 1, body: "x".repeat(size), attributes: {}, trace: undefined });

async function exported<Item>(
  encode: EncodeBatch<Item>,
  items: readonly Item[],
): Promise<{ readonly bodies: readonly number[]; readonly sent: number; readonly dropped: number }> {
  const bodies: number[] = [];
  const statistics = new FilterStatistics();
  const callCluster = (request: ClusterRequest) => {
    bodies.push(request.body.length);
    return Promise.resolve({ status: 200, headers: [], body: Buffer.alloc(0) });
  };
  const request = { cluster: "c", protocol: "http1", path: "/", authority: "c", headers: [], timeoutMs: 1000 } as const;
  const exporter = new BatchExporter<Item>({
    target: { statPrefix: "test", items: "spans", encode, request, isGrpc: false },
    callCluster,
    statistics,
    clock: systemClock,
    log: silentLogger,
  });
  for (const item of items) exporter.add(item);
  await exporter.flush(60_000);
  return {
    bodies,
    sent: statistics.counter("test.spans_sent").value,
    dropped: statistics.counter("test.spans_dropped").value,
  };
}

test("a batch that is too large is sent in several messages; an item larger than a message is dropped and counted", async () => {
  const node = { id: "n", service: "s", address: "10.0.0.1", zone: "" };
  for (const [name, encode] of [
    ["otlp", otlpSpans({ "service.name": "s" })],
    ["zipkin", zipkinSpans(node)],
  ] as const) {
    const { bodies, sent, dropped } = await exported(encode, [
      spanOf(half),
      spanOf(half),
      spanOf(maxExportBytes),
      spanOf(10),
      spanOf(half),
    ]);
    assert.deepEqual([bodies.length, sent, dropped], [3, 4, 1], name);
    assert.ok(
      bodies.every((length) => length <= maxExportBytes),
      name,
    );
  }
  const logs = await exported(otlpLogs({}), [
    lineOf(half),
    lineOf(half),
    lineOf(maxExportBytes),
    lineOf(10),
    lineOf(10),
  ]);
  assert.deepEqual([logs.sent, logs.dropped], [4, 1]);
  assert.ok(logs.bodies.every((length) => length <= maxExportBytes));
});
