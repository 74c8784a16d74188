import { createServer, type IncomingHttpHeaders } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** The kind's number in OTLP: 2 for a server span, 3 for a client span. */
  readonly kind: number;
  readonly durationMs: number;
  readonly isError: boolean;
  readonly tags: Readonly<Record<string, string>>;
}

export interface CollectedLog {
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly traceId: string;
}

/** The values of a protobuf message by field number. */
export type Fields = ReadonlyMap<number, readonly (Uint8Array | bigint | number)[]>;

export function fieldsOf(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, (Uint8Array | bigint | number)[]>();
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const values = fields.get(number) ?? [];
    fields.set(number, values);
    if (type === WireType.LengthDelimited) values.push(reader.bytes());
    else if (type === WireType.Bit64) values.push(BigInt(reader.fixed64()));
    else if (type === WireType.Bit32) values.push(reader.fixed32());
    else values.push(Number(reader.uint64()));
  }
  return fields;
}

export const messages = (fields: Fields, number: number): Fields[] =>
  (fields.get(number) ?? []).map((value) => fieldsOf(value as Uint8Array));
const bytesOf = (fields: Fields, number: number): Buffer =>
  Buffer.from((fields.get(number)?.[0] ?? new Uint8Array()) as Uint8Array);
export const textOf = (fields: Fields, number: number): string => bytesOf(fields, number).toString();
export const numberOf = (fields: Fields, number: number): number => Number(fields.get(number)?.[0] ?? 0);
const attributesOf = (fields: Fields, number: number): Record<string, string> =>
  Object.fromEntries(
    messages(fields, number).map((pair) => [textOf(pair, 1), textOf(messages(pair, 2)[0] ?? new Map(), 1)]),
  );

const nanosPerMs = 1e6;
const errorStatus = 2;

function readExport(bytes: Uint8Array): CollectedSpan[] {
  return messages(fieldsOf(bytes), 1).flatMap((resourceSpans) => {
    const service = attributesOf(messages(resourceSpans, 1)[0] ?? new Map(), 1)["service.name"] ?? "";
    return messages(resourceSpans, 2).flatMap((scope) =>
      messages(scope, 2).map((span) => ({
        service,
        traceId: bytesOf(span, 1).toString("hex"),
        spanId: bytesOf(span, 2).toString("hex"),
        parentSpanId: bytesOf(span, 4).toString("hex"),
        name: textOf(span, 5),
        kind: numberOf(span, 6),
        durationMs: (numberOf(span, 8) - numberOf(span, 7)) / nanosPerMs,
        isError: numberOf(messages(span, 15)[0] ?? new Map(), 3) === errorStatus,
        tags: attributesOf(span, 9),
      })),
    );
  });
}

function readLogs(bytes: Uint8Array): CollectedLog[] {
  return messages(fieldsOf(bytes), 1).flatMap((resourceLogs) =>
    messages(resourceLogs, 2).flatMap((scope) =>
      messages(scope, 2).map((record) => ({
        body: textOf(messages(record, 5)[0] ?? new Map(), 1),
        attributes: attributesOf(record, 6),
        traceId: bytesOf(record, 9).toString("hex"),
      })),
    ),
  );
}

const grpcPrefixBytes = 5;

/** A collector on a loopback address for OTLP over HTTP and gRPC (logs only over gRPC), and for Zipkin's JSON. */
export class SpanCollector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly logs: CollectedLog[] = [];
  /** The messages for Envoy's access log service. */
  readonly serviceLogs: Fields[] = [];
  /** The messages for Envoy's access log service that the collector refused. */
  readonly refusedServiceLogs: Fields[] = [];
  /** Zipkin's spans as received. */
  readonly zipkin: Record<string, unknown>[] = [];
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = [];
  /** The status of the collector's responses. Over gRPC, any other value than 200 becomes the gRPC status 14. */
  status = 200;
  readonly #http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      this.requests.push({ path: request.url ?? "", headers: request.headers });
      const body = Buffer.concat(chunks);
      if (this.status === 200 && request.headers["content-type"] === "application/json")
        this.zipkin.push(...(JSON.parse(body.toString()) as Record<string, unknown>[]));
      else if (this.status === 200) this.spans.push(...readExport(body));
      response.writeHead(this.status).end();
    });
  });
  readonly #grpc = createHttp2Server();

  static async start(): Promise<SpanCollector> {
    const collector = new SpanCollector();
    collector.#grpc.on("stream", (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on("error", () => undefined);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        collector.requests.push({ path: String(headers[":path"]), headers });
        const message = Buffer.concat(chunks).subarray(grpcPrefixBytes);
        if (collector.status === 200 && String(headers[":path"]).includes("LogsService"))
          collector.logs.push(...readLogs(message));
        else if (String(headers[":path"]).includes("AccessLogService"))
          (collector.status === 200 ? collector.serviceLogs : collector.refusedServiceLogs).push(fieldsOf(message));
        else if (collector.status === 200) collector.spans.push(...readExport(message));
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": collector.status === 200 ? "0" : "14" }));
        stream.end(Buffer.alloc(grpcPrefixBytes));
      });
    });
    for (const server of [collector.#http, collector.#grpc])
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get httpPort(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  get grpcPort(): number {
    return (this.#grpc.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.closeAllConnections();
    this.#http.close();
    this.#grpc.close();
    await Promise.resolve();
  }
}
