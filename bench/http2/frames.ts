// HTTP/2 for a load generator and an upstream. It handles only frames, without the state that a real peer checks. Its
// cost must not hide that of the proxy between them.
import type { Duplex } from "node:stream";
import { hpackEncode, FrameWriter, setting } from "../../src/wire/http2/index.ts";
import { clientPreface, frameFlag, frameHeaderLength, frameType } from "../../src/wire/http2/constants.ts";

export const maxFrameBytes = 16_384;
/** A window larger than every response, so that no stream waits for a window. */
const streamWindow = 16_777_216;
/** A window far larger than the data that a connection receives between two updates. */
const connectionWindow = 2 ** 30;
const updateEvery = 2 ** 27;
const defaultWindow = 65_535;
const payloadKept = 4;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
  /** The first four bytes of the payload, as an unsigned number. */
  readonly word: number;
}

/** Finds the frames in chunks of bytes, and drops their payloads. */
class FrameScanner {
  readonly #onFrame: (frame: Frame) => void;
  readonly #head = Buffer.alloc(frameHeaderLength + payloadKept);
  #have = 0;
  #left = 0;
  #skip: number;

  constructor(skip: number, onFrame: (frame: Frame) => void) {
    this.#skip = skip;
    this.#onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0 || this.#left > 0) {
        const passed = Math.min(chunk.length - at, this.#skip > 0 ? this.#skip : this.#left);
        at += passed;
        if (this.#skip > 0) this.#skip -= passed;
        else {
          this.#left -= passed;
          if (this.#left === 0) this.#end();
        }
        continue;
      }
      const wanted = this.#wanted() - this.#have;
      const copied = Math.min(wanted, chunk.length - at);
      chunk.copy(this.#head, this.#have, at, at + copied);
      this.#have += copied;
      at += copied;
      if (this.#have < frameHeaderLength || this.#have < this.#wanted()) continue;
      this.#left = this.#length() - (this.#have - frameHeaderLength);
      if (this.#left === 0) this.#end();
    }
  }

  #length(): number {
    return this.#head.readUIntBE(0, 3);
  }

  #wanted(): number {
    return this.#have < frameHeaderLength
      ? frameHeaderLength
      : frameHeaderLength + Math.min(payloadKept, this.#length());
  }

  #end(): void {
    this.#have = 0;
    this.#onFrame({
      type: this.#head[3] ?? 0,
      flags: this.#head[4] ?? 0,
      streamId: this.#head.readUInt32BE(5) & 0x7fff_ffff,
      length: this.#length(),
      word: this.#head.readUInt32BE(frameHeaderLength),
    });
  }
}

/** The common part of client and server: settings, acknowledgements and windows. */
class Connection {
  readonly writer = new FrameWriter();
  readonly #stream: Duplex;
  #received = 0;
  /** The number of bytes of DATA that the peer still accepts on this connection. */
  window = defaultWindow;
  failed = false;

  constructor(stream: Duplex, preface: boolean, onFrame: (frame: Frame) => void, onLost: () => void) {
    this.#stream = stream;
    if (preface) this.writer.preface();
    this.writer.settings([[setting.initialWindowSize, streamWindow]]);
    this.writer.windowUpdate(0, connectionWindow);
    const scanner = new FrameScanner(preface ? 0 : clientPreface.length, (frame) => {
      this.#common(frame);
      onFrame(frame);
    });
    stream.on("data", (chunk: Buffer) => {
      scanner.push(chunk);
      this.flush();
    });
    stream.on("error", () => undefined);
    stream.on("close", onLost);
    this.flush();
  }

  flush(): void {
    if (this.writer.length === 0 || this.#stream.destroyed) return;
    this.#stream.write(Buffer.from(this.writer.view()));
    this.writer.reuse();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #common({ type, flags, streamId, length, word }: Frame): void {
    if (type === frameType.settings && (flags & frameFlag.ack) === 0)
      this.writer.frame(frameType.settings, frameFlag.ack, 0);
    else if (type === frameType.ping && (flags & frameFlag.ack) === 0)
      this.writer.frame(frameType.ping, frameFlag.ack, 0, Buffer.alloc(8));
    else if (type === frameType.windowUpdate && streamId === 0) this.window += word;
    else if (type === frameType.data) {
      this.#received += length;
      if (this.#received < updateEvery) return;
      this.writer.windowUpdate(0, this.#received);
      this.#received = 0;
    }
  }
}

export interface RequestPlan {
  readonly fields: readonly string[];
  readonly body?: Buffer;
  /** Whether each stream stays open. The body is then sent again after each response message. */
  readonly endless?: boolean;
}

export type Answered = (latencyMs: number, ok: boolean) => void;

/** Keeps a number of streams open on one connection, or sends single requests. */
export class LoadSession {
  readonly #connection: Connection;
  readonly #plan: RequestPlan;
  readonly #block: Buffer;
  readonly #answered: Answered;
  readonly #started = new Map<number, number>();
  #nextId = 1;
  #stopped = false;
  /** Whether each answer is followed by the next request. */
  #repeats = false;

  constructor(stream: Duplex, plan: RequestPlan, answered: Answered) {
    this.#plan = plan;
    this.#block = hpackEncode(plan.fields);
    this.#answered = answered;
    this.#connection = new Connection(
      stream,
      true,
      (frame) => this.#frame(frame),
      () => {
        if (!this.#stopped) for (const _ of this.#started) answered(0, false);
      },
    );
  }

  begin(streams: number): void {
    this.#repeats = true;
    for (let count = 0; count < streams; count += 1) this.#open();
    this.#connection.flush();
  }

  /** Sends this many requests, and no others after them. */
  send(requests: number): void {
    for (let count = 0; count < requests; count += 1) this.#open();
    this.#connection.flush();
  }

  stop(): void {
    this.#stopped = true;
    this.#connection.destroy();
  }

  #open(): void {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#started.set(id, performance.now());
    const { body } = this.#plan;
    const { writer } = this.#connection;
    writer.headers(id, this.#block, body === undefined, maxFrameBytes);
    if (body !== undefined) writer.data(id, body, 0, body.length, this.#plan.endless !== true);
  }

  #frame({ type, flags, streamId, length }: Frame): void {
    const startedMs = this.#started.get(streamId);
    if (startedMs === undefined) return;
    if (type === frameType.rstStream) {
      this.#started.delete(streamId);
      this.#answered(0, false);
      if (this.#repeats) this.#open();
      return;
    }
    if (type !== frameType.data && type !== frameType.headers) return;
    const ends = (flags & frameFlag.endStream) !== 0;
    if (this.#plan.endless === true && type === frameType.data && length > 0) {
      this.#answered(performance.now() - startedMs, true);
      this.#started.set(streamId, performance.now());
      const { body = Buffer.alloc(0) } = this.#plan;
      this.#connection.writer.data(streamId, body, 0, body.length, false);
      return;
    }
    if (!ends) return;
    this.#started.delete(streamId);
    // An endless stream must not end.
    this.#answered(performance.now() - startedMs, this.#plan.endless !== true);
    if (this.#repeats && !this.#stopped) this.#open();
  }
}

const grpcHead = hpackEncode([":status", "200", "content-type", "application/grpc"]);
const grpcTrailers = hpackEncode(["grpc-status", "0"]);

/**
 * Answers requests on one connection. The response to a request without a body contains `body`. The response to a gRPC
 * request contains the request's message, and trailers. Each message of an open stream is answered with the same number
 * of bytes.
 */
export function answerHttp2(stream: Duplex, body: Buffer): void {
  const head = hpackEncode([":status", "200", "content-type", "text/plain", "content-length", String(body.length)]);
  const open = new Set<number>();
  const waiting: (() => boolean)[] = [];
  const connection = new Connection(
    stream,
    false,
    (frame) => answer(frame),
    () => open.clear(),
  );
  const send = (bytes: number, write: () => void): void => {
    const attempt = (): boolean => {
      if (connection.window < bytes) return false;
      connection.window -= bytes;
      write();
      return true;
    };
    if (waiting.length > 0 || !attempt()) waiting.push(attempt);
  };
  const answer = ({ type, flags, streamId, length }: Frame): void => {
    const ends = (flags & frameFlag.endStream) !== 0;
    if (type === frameType.windowUpdate) while (waiting[0]?.() === true) waiting.shift();
    else if (type === frameType.headers && ends)
      send(body.length, () => {
        connection.writer.headers(streamId, head, false, maxFrameBytes);
        connection.writer.data(streamId, body, 0, body.length, true);
      });
    else if (type === frameType.headers) open.add(streamId);
    else if (type === frameType.data && (length > 0 || ends)) {
      send(length, () => {
        if (open.delete(streamId)) connection.writer.headers(streamId, grpcHead, false, maxFrameBytes);
        connection.writer.data(streamId, Buffer.alloc(length), 0, length, false);
        if (ends) connection.writer.headers(streamId, grpcTrailers, true, maxFrameBytes);
      });
      // Renews the windows of the stream and of the connection at once.
      if (length > 0) connection.writer.windowUpdate(streamId, length);
    }
  };
}
