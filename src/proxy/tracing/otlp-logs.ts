import type { ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { maxExportBytes, type EncodeBatch } from "./batch-exporter.ts";

type ReadableLogRecord = Parameters<(typeof ProtobufLogsSerializer)["serializeRequest"]>[0][number];

export interface LogItem {
  /** Unix time. */
  readonly timeMs: number;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly trace: { readonly traceId: string; readonly spanId: string } | undefined;
}

const traceIdDigits = 32;
const sampledFlag = 1;
const msPerSecond = 1000;
const nanosPerMs = 1_000_000;

/**
 * Encodes a batch of log lines as OTLP's protobuf message. OpenTelemetry's library, which does this, is loaded with the
 * first batch. An empty batch loads it in advance.
 */
export function otlpLogs(resource: Readonly<Record<string, string>>): EncodeBatch<LogItem> {
  let library: Promise<Pick<typeof ProtobufLogsSerializer, "serializeRequest">> | undefined;
  const shared = {
    resource: { attributes: resource, asyncAttributesPending: false } as unknown as ReadableLogRecord["resource"],
    instrumentationScope: { name: "" },
  };
  return async (items) => {
    const serializer = await (library ??= import("@opentelemetry/otlp-transformer").then(
      ({ ProtobufLogsSerializer: found }) => found,
    ));
    const records = items.map(({ timeMs, body, attributes, trace }): ReadableLogRecord => {
      const time = timeOf(timeMs);
      return {
        ...shared,
        hrTime: time,
        hrTimeObserved: time,
        body,
        attributes: { ...attributes },
        droppedAttributesCount: 0,
        ...(trace === undefined
          ? {}
          : {
              spanContext: {
                traceId: trace.traceId.padStart(traceIdDigits, "0"),
                spanId: trace.spanId,
                traceFlags: sampledFlag,
              },
            }),
      };
    });
    // Halve the number of items until the message is small enough, because the library does not compute sizes in
    // advance.
    for (let taken = records.length; ; taken = Math.floor(taken / 2)) {
      const message = serializer.serializeRequest(records.slice(0, taken)) ?? new Uint8Array();
      if (message.length <= maxExportBytes || taken === 0) return { message: Buffer.from(message), taken };
    }
  };
}

function timeOf(ms: number): [seconds: number, nanos: number] {
  const seconds = Math.floor(ms / msPerSecond);
  return [seconds, Math.round((ms - seconds * msPerSecond) * nanosPerMs)];
}
