import { maxExportBytes, type EncodeBatch } from "./batch-exporter.ts";
import type { Span } from "./span.ts";

// Field numbers of opentelemetry-proto: collector/trace/v1, trace/v1, resource/v1 and common/v1.
const request = { resourceSpans: 1 };
const resourceSpans = { resource: 1, scopeSpans: 2 };
const resourceFields = { attributes: 1 };
const scopeSpans = { scope: 1, spans: 2 };
const spanFields = {
  traceId: 1,
  spanId: 2,
  parentSpanId: 4,
  name: 5,
  kind: 6,
  startTime: 7,
  endTime: 8,
  attributes: 9,
  status: 15,
  flags: 16,
};
const statusFields = { code: 3 };
const keyValue = { key: 1, value: 2 };
const anyValue = { string: 1 };
const spanKinds = { server: 2, client: 3 };
const errorStatus = 2;
const sampledFlag = 1;
/** The bit of a span's flags that says that {@link parentIsRemote} is meaningful. */
const parentFlagsKnown = 0x100;
/** The bit that says that the parent is a span of another process. */
const parentIsRemote = 0x200;

const traceIdDigits = 32;
const nanosPerMs = 1_000_000;
const firstCapacity = 4096;
/** The maximum size of the memory that is kept for the next batch. */
const keptCapacity = 256 * 1024;
/** The number of length prefixes before a span: its own, that of the scope's spans and that of the resource's. */
const prefixesOfMessage = 3;

/**
 * Encodes a batch of spans as OTLP's protobuf message, as many as fit into {@link maxExportBytes}. This code writes the
 * message itself, because OpenTelemetry's library takes ten times as long for each span.
 */
export function otlpSpans(resource: Readonly<Record<string, string>>): EncodeBatch<Span> {
  const [whole, spans, span, status] = [
    new ProtobufBuilder(),
    new ProtobufBuilder(),
    new ProtobufBuilder(),
    new ProtobufBuilder(),
  ];
  const parts = { span, status, repeated: new Map<string, RepeatedAttribute>() };
  return (batch) => {
    for (const builder of [whole, spans, span, status]) builder.clear();
    for (const [key, value] of Object.entries(resource)) span.attribute(resourceFields.attributes, key, value);
    spans.message(resourceSpans.resource, span);
    whole.message(scopeSpans.scope, status);
    const room = maxExportBytes - spans.length - prefixesOfMessage * maxPrefix;
    let taken = 0;
    for (const ended of batch) {
      if (!writeSpan(ended, parts, room - whole.length)) break;
      whole.message(scopeSpans.spans, span);
      taken += 1;
    }
    spans.message(resourceSpans.scopeSpans, whole);
    whole.clear();
    if (taken > 0) whole.message(request.resourceSpans, spans);
    return Promise.resolve({ message: whole.copy(), taken });
  };
}

/** The encoded bytes of an attribute. They are kept, because most spans have the same values as the span before. */
interface RepeatedAttribute {
  readonly value: string;
  readonly bytes: Buffer;
}

/** The limits up to which attributes are kept for the next span: the number of names, and the length of a value. */
const maxRepeated = 64;
const maxRepeatedLetters = 128;

interface SpanParts {
  readonly span: ProtobufBuilder;
  readonly status: ProtobufBuilder;
  /** The last encoded value of each attribute, by the attribute's name. */
  readonly repeated: Map<string, RepeatedAttribute>;
}

/** Writes a span. Returns false if it needs more than `room`. Its bytes are then incomplete. */
function writeSpan(
  { traceId, spanId, parentSpanId, isParentRemote, name, kind, startMs, durationMs, tags }: Span,
  { span, status, repeated }: SpanParts,
  room: number,
): boolean {
  span.clear();
  span.hex(spanFields.traceId, traceId.padStart(traceIdDigits, "0"));
  span.hex(spanFields.spanId, spanId);
  if (parentSpanId !== undefined) span.hex(spanFields.parentSpanId, parentSpanId);
  span.text(spanFields.name, name);
  span.varint(spanFields.kind, spanKinds[kind]);
  span.fixed64(spanFields.startTime, nanosOf(startMs));
  span.fixed64(spanFields.endTime, nanosOf(startMs + durationMs));
  for (const [key, value] of tags) {
    const kept = repeated.get(key);
    if (kept?.value === value) span.raw(kept.bytes);
    else {
      const from = span.length;
      span.attribute(spanFields.attributes, key, value);
      const isShort = key.length + value.length <= maxRepeatedLetters;
      if (isShort && (kept !== undefined || repeated.size < maxRepeated))
        repeated.set(key, { value, bytes: span.copy(from) });
    }
    if (span.length > room) return false;
  }
  status.clear();
  if (tags.get("error") === "true") status.varint(statusFields.code, errorStatus);
  span.message(spanFields.status, status);
  const isRemote = parentSpanId !== undefined && isParentRemote;
  const parentFlags = isRemote ? parentFlagsKnown | parentIsRemote : parentFlagsKnown;
  span.fixed32(spanFields.flags, sampledFlag | parentFlags);
  return span.length <= room;
}

function nanosOf(ms: number): bigint {
  const whole = Math.floor(ms);
  return BigInt(whole) * BigInt(nanosPerMs) + BigInt(Math.round((ms - whole) * nanosPerMs));
}

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 };
const varintBits = 7;
const more = 0x80;
/** The maximum number of bytes of a field's tag and length together. */
const maxPrefix = 16;

/** Writes one protobuf message, which is at most {@link maxExportBytes} and one span's tag long. */
class ProtobufBuilder {
  #bytes = Buffer.allocUnsafeSlow(firstCapacity);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > keptCapacity) this.#bytes = Buffer.allocUnsafeSlow(firstCapacity);
  }

  copy(from = 0): Buffer {
    return Buffer.from(this.#bytes.subarray(from, this.#length));
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  varint(field: number, value: number): void {
    this.#reserve(maxPrefix);
    this.#tag(field, wireTypes.varint);
    this.#varint(value);
  }

  fixed32(field: number, value: number): void {
    this.#reserve(maxPrefix);
    this.#tag(field, wireTypes.fixed32);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  fixed64(field: number, value: bigint): void {
    this.#reserve(maxPrefix);
    this.#tag(field, wireTypes.fixed64);
    this.#length = this.#bytes.writeBigUInt64LE(value, this.#length);
  }

  text(field: number, text: string): void {
    const length = Buffer.byteLength(text);
    this.#reserve(maxPrefix + length);
    this.#tag(field, wireTypes.bytes);
    this.#varint(length);
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** Writes an attribute with a text value directly, without building it separately and copying it. */
  attribute(field: number, key: string, value: string): void {
    const keyLength = Buffer.byteLength(key);
    const valueLength = Buffer.byteLength(value);
    const inner = 1 + sizeOfVarint(valueLength) + valueLength;
    this.#reserve(4 * maxPrefix + keyLength + valueLength);
    this.#tag(field, wireTypes.bytes);
    this.#varint(1 + sizeOfVarint(keyLength) + keyLength + 1 + sizeOfVarint(inner) + inner);
    this.#shortText(keyValue.key, key, keyLength);
    this.#tag(keyValue.value, wireTypes.bytes);
    this.#varint(inner);
    this.#shortText(anyValue.string, value, valueLength);
  }

  #shortText(field: number, text: string, length: number): void {
    this.#tag(field, wireTypes.bytes);
    this.#varint(length);
    this.#length += this.#bytes.write(text, this.#length);
  }

  hex(field: number, digits: string): void {
    const length = digits.length / 2;
    this.#reserve(maxPrefix + length);
    this.#tag(field, wireTypes.bytes);
    this.#varint(length);
    this.#length += this.#bytes.write(digits, this.#length, "hex");
  }

  message(field: number, inner: ProtobufBuilder): void {
    this.#reserve(maxPrefix + inner.#length);
    this.#tag(field, wireTypes.bytes);
    this.#varint(inner.#length);
    inner.#bytes.copy(this.#bytes, this.#length, 0, inner.#length);
    this.#length += inner.#length;
  }

  #tag(field: number, wireType: number): void {
    this.#varint((field << 3) | wireType);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= more) {
      this.#bytes[this.#length++] = (rest & (more - 1)) | more;
      rest >>>= varintBits;
    }
    this.#bytes[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = value >>> varintBits; rest > 0; rest >>>= varintBits) size += 1;
  return size;
}
