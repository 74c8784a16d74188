import assert from "node:assert/strict";
import { test } from "node:test";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { maxExportBytes } from "./batch-exporter.ts";
import { otlpSpans } from "./otlp-spans.ts";
import type { Span } from "./span.ts";

/**
 * The fields that are messages, by the path of field numbers. All other length-delimited fields are texts or bytes.
 */
const messages = new Set(["1", "1.1", "1.1.1", "1.1.1.2", "1.2", "1.2.1", "1.2.2", "1.2.2.9", "1.2.2.9.2", "1.2.2.15"]);

/** All fields of a message that are not zero, in the order in which they come. */
function fieldsOf(bytes: Uint8Array, path = ""): unknown[] {
  const reader = new BinaryReader(bytes);
  const fields: unknown[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const at = path === "" ? String(number) : `${path}.${number}`;
    if (type === WireType.LengthDelimited) {
      const inner = reader.bytes();
      // The scope has no name.
      if (at === "1.2.1.1" && inner.length === 0) continue;
      fields.push([at, messages.has(at) ? fieldsOf(inner, at) : Buffer.from(inner).toString("latin1")]);
      continue;
    }
    const value =
      type === WireType.Varint ? reader.uint32() : type === WireType.Bit32 ? reader.fixed32() : reader.fixed64();
    if (value !== 0) fields.push([at, value]);
  }
  return fields;
}

type Readable = Parameters<(typeof ProtobufTraceSerializer)["serializeRequest"]>[0][number];

// The library groups spans by object identity.
const shared = {
  resource: {
    attributes: { "service.name": "shop", "host.name": "é" },
    asyncAttributesPending: false,
  } as unknown as Readable["resource"],
  instrumentationScope: { name: "" },
};

function readableOf({
  traceId,
  spanId,
  parentSpanId,
  isParentRemote,
  name,
  kind,
  startMs,
  durationMs,
  tags,
}: Span): Readable {
  const contextOf = (id: string) => ({ traceId: traceId.padStart(32, "0"), spanId: id, traceFlags: 1 });
  const timeOf = (ms: number): [number, number] => [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];
  return {
    ...shared,
    name,
    kind: kind === "server" ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: () => contextOf(spanId),
    ...(parentSpanId === undefined
      ? {}
      : { parentSpanContext: { ...contextOf(parentSpanId), isRemote: isParentRemote } }),
    startTime: timeOf(startMs),
    endTime: timeOf(startMs + durationMs),
    duration: timeOf(durationMs),
    ended: true,
    status: { code: tags.get("error") === "true" ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: Object.fromEntries(tags),
    links: [],
    events: [],
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

test("a batch equals what OpenTelemetry's own library writes, except for zeros", async () => {
  const spans: Span[] = [
    {
      traceId: "0123456789abcdef0123456789abcdef",
      spanId: "0011223344556677",
      parentSpanId: undefined,
      isParentRemote: true,
      name: "ingress",
      kind: "server",
      startMs: 1_700_000_000_000.25,
      durationMs: 1.5,
      tags: new Map([
        ["a", ""],
        ["http.url", "x".repeat(300)],
      ]),
    },
    {
      traceId: "0123456789abcdef",
      spanId: "8899aabbccddeeff",
      parentSpanId: "0011223344556677",
      isParentRemote: false,
      name: "router € egress",
      kind: "client",
      startMs: 1_700_000_000_001,
      durationMs: 0,
      tags: new Map([
        ["error", "true"],
        ["é", "€".repeat(20_000)],
      ]),
    },
  ];
  const [first] = spans;
  if (first !== undefined) spans.push({ ...first, parentSpanId: "1122334455667788" });
  const encode = otlpSpans({ "service.name": "shop", "host.name": "é" });
  const expected = ProtobufTraceSerializer.serializeRequest(spans.map(readableOf)) ?? new Uint8Array();
  // The second batch equals the first: nothing is left over from it.
  for (let time = 0; time < 2; time += 1) assert.deepEqual(fieldsOf((await encode(spans)).message), fieldsOf(expected));
  assert.deepEqual(await encode([]), { message: Buffer.alloc(0), taken: 0 });
});

test("an attribute has the value of its own span, whether the span before had the same value, another or none", async () => {
  const spans = Array.from({ length: 40 }, (_, index): Span => {
    const names = Array.from({ length: 20 }, (__, name) => `tag-${(index * 3 + name) % 90}`);
    const valueOf = (name: string): string =>
      name.endsWith("7") ? "v".repeat(index * 8) : name.endsWith("3") ? "é" : "";
    return {
      traceId: "0123456789abcdef0123456789abcdef",
      spanId: "0011223344556677",
      parentSpanId: undefined,
      isParentRemote: true,
      name: "ingress",
      kind: "server",
      startMs: 1,
      durationMs: 1,
      tags: new Map([
        ["http.method", index % 3 === 0 ? "POST" : "GET"],
        ...names.map((name) => [name, valueOf(name)] as const),
      ]),
    };
  });
  const encode = otlpSpans({ "service.name": "shop", "host.name": "é" });
  for (const batch of [spans.slice(0, 25), spans.slice(25), spans.toReversed()])
    assert.deepEqual(
      fieldsOf((await encode(batch)).message),
      fieldsOf(ProtobufTraceSerializer.serializeRequest(batch.map(readableOf)) ?? new Uint8Array()),
    );
});

test("a message holds as many spans as fit, and a span larger than a message is dropped", async () => {
  const spanOf = (spanId: string, size: number): Span => ({
    traceId: "0123456789abcdef",
    spanId,
    parentSpanId: undefined,
    isParentRemote: true,
    name: "ingress",
    kind: "server",
    startMs: 1,
    durationMs: 1,
    tags: new Map([["agent", "x".repeat(size)]]),
  });
  const encode = otlpSpans({ "service.name": "shop" });
  const third = Math.floor(maxExportBytes / 3);
  const batch = [
    spanOf("0000000000000001", third),
    spanOf("0000000000000002", third),
    spanOf("0000000000000003", third),
    spanOf("0000000000000004", 1),
  ];
  const first = await encode(batch);
  assert.equal(first.taken, 2);
  assert.ok(first.message.length <= maxExportBytes && first.message.length > 2 * third);
  assert.deepEqual(fieldsOf(first.message), fieldsOf((await encode(batch.slice(0, 2))).message));
  assert.equal((await encode(batch.slice(2))).taken, 2);
  assert.deepEqual(await encode([spanOf("0000000000000005", maxExportBytes), ...batch]), {
    message: Buffer.alloc(0),
    taken: 0,
  });
  // The limit is exact to the byte: a batch whose computed size fits also fits in its message.
  for (let size = maxExportBytes - 300; size < maxExportBytes; size += 7) {
    const { message, taken } = await encode([spanOf("0000000000000006", size)]);
    assert.ok(message.length <= maxExportBytes && (taken === 1) === message.length > 0);
  }
});
