import { maxExportBytes, type EncodeBatch } from "./batch-exporter.ts";
import type { Span } from "./span.ts";
import type { TracedNode } from "./traced-node.ts";

const microsPerMs = 1000;

/** Encodes spans as Zipkin's JSON, version 2. */
export function zipkinSpans(node: TracedNode): EncodeBatch<Span> {
  const localEndpoint = {
    serviceName: node.service,
    ...(node.address.includes(":") ? { ipv6: node.address } : { ipv4: node.address }),
  };
  return (spans) => {
    const texts: string[] = [];
    let size = 2;
    for (const { traceId, spanId, parentSpanId, name, kind, startMs, durationMs, tags } of spans) {
      const text = JSON.stringify({
        traceId,
        id: spanId,
        ...(parentSpanId === undefined ? {} : { parentId: parentSpanId }),
        name,
        kind: kind.toUpperCase(),
        timestamp: Math.round(startMs * microsPerMs),
        duration: Math.max(1, Math.round(durationMs * microsPerMs)),
        localEndpoint,
        tags: Object.fromEntries(tags),
      });
      size += Buffer.byteLength(text) + 1;
      if (size > maxExportBytes) break;
      texts.push(text);
    }
    return Promise.resolve({ message: Buffer.from(`[${texts.join(",")}]`), taken: texts.length });
  };
}
