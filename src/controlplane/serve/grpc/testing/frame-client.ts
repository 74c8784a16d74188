import type { Random } from "../../../../base/index.ts";
import { SharedBudget } from "../../../../base/shared-budget/index.ts";
import { HandClock } from "../../../../base/testing/index.ts";
import type { ByteStream, ByteStreamHandler } from "../../../../net/index.ts";
import {
  errorCodeName,
  FrameReader,
  FrameWriter,
  hpackEncode,
  type FrameHandler,
} from "../../../../wire/http2/index.ts";
import type { GrpcCall } from "../grpc-call.ts";
import { GrpcConnection, type ConnectionOwner } from "../grpc-connection.ts";
import { FrameOutput } from "../frame-output.ts";
import { ReadingTurns } from "../reading-turns.ts";
import { grpcLimits } from "../grpc-limits.ts";

/** How long the next call of a wasteful client waits at most. */
const longestWaitMs = grpcLimits.wastedStreams * grpcLimits.pausePerWastedStreamMs;

export class Pipe implements ByteStream {
  handler: ByteStreamHandler | undefined;
  readonly written: Uint8Array[] = [];
  ended = false;
  destroyed = false;
  /** Whether bytes wait here, as with a peer that does not read. */
  isPaused = true;
  stuck = false;
  /** Keeps the received bytes without a copy, so that a test can check whether the sender copied them. */
  shared: Buffer | undefined;
  bufferedBytes = 0;
  readonly local = { address: "127.0.0.1", port: 15010 };
  readonly remote = { address: "10.0.0.1", port: 2 };
  readonly fd = -1;
  readonly receivedBytes = 0;
  sentBytes = 0;
  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }
  write(bytes: Uint8Array): boolean {
    this.written.push(bytes.buffer === this.shared?.buffer ? bytes : Uint8Array.from(bytes));
    this.sentBytes += bytes.length;
    if (this.stuck) this.bufferedBytes += bytes.length;
    return !this.stuck;
  }
  drain(): void {
    this.stuck = false;
    this.bufferedBytes = 0;
    this.handler?.drain();
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.destroyed = true;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

/** The server's frames as short texts. Consecutive DATA frames count as one. */
export class RecordedFrames implements FrameHandler {
  readonly events: string[] = [];
  readonly bodies = new Map<number, Buffer>();
  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.bodies.set(streamId, Buffer.concat([this.bodies.get(streamId) ?? Buffer.alloc(0), chunk]));
    this.events.push(`data ${streamId} ${chunk.length}${endStream ? " end" : ""}`);
  }
  padding(): void {}
  headers(streamId: number, fields: string[], endStream: boolean): void {
    const shown = fields.filter(
      (_, index) => !["content-type", "grpc-accept-encoding"].includes(fields[index - (index % 2)] ?? ""),
    );
    this.events.push(`headers ${streamId} ${shown.join(" ")}${endStream ? " end" : ""}`);
  }
  rstStream(streamId: number, code: number): void {
    this.events.push(`rst ${streamId} ${errorCodeName(code)}`);
  }
  settings(values: ReadonlyMap<number, number>): void {
    this.events.push(`settings ${[...values].map(([id, value]) => `${id}=${value}`).join(" ")}`);
  }
  settingsAck(): void {
    this.events.push("settings ack");
  }
  ping(opaque: Buffer): void {
    this.events.push(`ping ${opaque.toString()}`);
  }
  pingAck(opaque: Buffer): void {
    this.events.push(`ping ack ${opaque.toString()}`);
  }
  goaway(lastStreamId: number, code: number, debug: string): void {
    this.events.push(`goaway ${lastStreamId} ${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`}`);
  }
  windowUpdate(streamId: number, increment: number): void {
    this.events.push(`window ${streamId} ${increment}`);
  }
}

export const path = "/test.Service/Method";
export const requestFields = [
  ":method",
  "POST",
  ":scheme",
  "http",
  ":path",
  path,
  ":authority",
  "test",
  "content-type",
  "application/grpc",
  "te",
  "trailers",
];
export const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

export function framed(text: string | Buffer): Buffer {
  const body = Buffer.from(text as string);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

export class TestOwner implements ConnectionOwner {
  readonly output = new FrameOutput();
  readonly clock = new HandClock();
  readonly maxRequestBytes = 100_000;
  readonly memory: SharedBudget;
  readonly turns = new ReadingTurns(this.clock);
  maxConnectionAgeMs = Infinity;
  random: Random = () => 0.5;
  readonly closedBy: (string | undefined)[] = [];
  serve: (call: GrpcCall) => void;
  constructor(serve: (call: GrpcCall) => void, memoryBytes = 150_000) {
    this.serve = serve;
    this.memory = new SharedBudget(memoryBytes);
  }
  method(requestedPath: string): ((call: GrpcCall) => void) | undefined {
    return requestedPath === path ? this.serve : undefined;
  }
  closed(_connection: GrpcConnection, reason: string | undefined): void {
    this.closedBy.push(reason);
  }
}

/** A connection to a server, whose frames the test writes itself. */
export class FrameClient {
  readonly pipe = new Pipe();
  readonly received = new RecordedFrames();
  readonly writer = new FrameWriter();
  readonly connection: GrpcConnection;
  readonly #reader = new FrameReader(this.received, { maxFrameSize: 65_536, expectPreface: false });
  readonly #clock: HandClock;
  #read = 0;

  constructor(owner: TestOwner, settings: readonly (readonly [number, number])[] = []) {
    this.#clock = owner.clock;
    this.connection = new GrpcConnection(owner, this.pipe, { address: "10.0.0.1", port: 2, certificate: undefined });
    this.connection.start();
    this.writer.preface();
    this.writer.settings(settings);
  }

  /** Sends the given bytes, or those of the writer, in pieces of `size`. */
  send(bytes?: Buffer, size = Infinity): void {
    const all = bytes ?? Buffer.from(this.writer.view());
    if (bytes === undefined) this.writer.reuse();
    for (let at = 0; at < all.length; at += size)
      this.pipe.handler?.data(all.subarray(at, Math.min(all.length, at + size)));
  }

  head(id: number, more: readonly string[] = [], fields: readonly string[] = requestFields, endStream = false): void {
    this.writer.headers(id, hpackEncode([...fields, ...more]), endStream, 16_384);
  }

  request(id: number, text: string, endStream = false): void {
    const bytes = framed(text);
    this.writer.data(id, bytes, 0, bytes.length, endStream);
  }

  async takeFrames(): Promise<readonly string[]> {
    await turn();
    // The connection reads on in later turns, and its answers leave at the end of the last one.
    while (this.pipe.isPaused) {
      const { nextTimerMs } = this.#clock;
      if (nextTimerMs <= longestWaitMs) this.#clock.pass(nextTimerMs);
      await turn();
    }
    await turn();
    for (; this.#read < this.pipe.written.length; this.#read += 1)
      this.#reader.push(Buffer.from(this.pipe.written[this.#read] ?? []));
    return this.received.events.splice(0);
  }
}
