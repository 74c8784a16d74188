import type { EncodeBatch } from "./batch-exporter.ts";
import type { Span } from "./span.ts";
import type { TracedNode } from "./traced-node.ts";

const microsPerMs = 1000;

/** Zipkin's JSON, version 2. */
export function zipkinSpans(node: TracedNode): EncodeBatch<Span> {
  const localEndpoint = { serviceName: node.service, ...(node.address.includes(":") ? { ipv6: node.address } : { ipv4: node.address }) };
  return (spans) =>
    Promise.resolve(
      Buffer.from(
        JSON.stringify(
          spans.map(({ traceId, spanId, parentSpanId, name, kind, startMs, durationMs, tags }) => ({
            traceId,
            id: spanId,
            ...(parentSpanId === undefined ? {} : { parentId: parentSpanId }),
            name,
            kind: kind.toUpperCase(),
            timestamp: Math.round(startMs * microsPerMs),
            duration: Math.max(1, Math.round(durationMs * microsPerMs)),
            localEndpoint,
            tags: Object.fromEntries(tags),
          })),
        ),
      ),
    );
}
