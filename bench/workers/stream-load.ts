// A load that costs little: HTTP/2 connections that send a batch of requests in one write, and the next batch when all
// requests are answered. They count the ends of streams and drop everything else. Fields are indexed after the first
// request, as usual clients do it.
import { connectTcp, type ByteStream } from "../../src/net/index.ts";
import { frameFlag, frameHeaderLength, frameType } from "../../src/wire/http2/constants.ts";
import { FrameWriter, setting } from "../../src/wire/http2/index.ts";

/**
 * A window so large that no stream waits for it: each stream carries little, and no measurement sends this much on a
 * connection.
 */
const window = 2 ** 30;
/** The field `:status: 200`, in the static table. */
const status200 = 0x88;
/** HPACK updates of the table's size begin with these three bits. */
const [tableSizeMask, tableSizeUpdate] = [0xe0, 0x20];
const maxFrameBytes = 16_384;
const nothing: Buffer = Buffer.alloc(0);

/** The fields that differ from those of the static table. */
export interface RequestFields {
  readonly path: string;
  readonly authority: string;
  readonly userAgent: string;
  readonly role: string;
}

/** Returns a block with `GET` and `http` from the static table, and literals that enter the dynamic table. */
function firstBlock({ path, authority, userAgent, role }: RequestFields): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const literal = (nameByte: number, value: string): Buffer => Buffer.concat([Buffer.from([nameByte]), text(value)]);
  return Buffer.concat([
    Buffer.from([0x82, 0x86]),
    literal(0x44, path),
    literal(0x41, authority),
    literal(0x7a, userAgent),
    Buffer.from([0x40]),
    text("x-role"),
    text(role),
  ]);
}

/** A block with the same fields from the dynamic table, whose newest entry has the index 62. */
const laterBlock = Buffer.from([0x82, 0x86, 0xc1, 0xc0, 0xbf, 0xbe]);

export class StreamLoad implements Disposable {
  readonly #first: Buffer;
  readonly #batchSize: number;
  readonly #connections: LoadConnection[] = [];

  constructor(fields: RequestFields, batchSize: number) {
    this.#first = firstBlock(fields);
    this.#batchSize = batchSize;
  }

  get answered(): number {
    return this.#connections.reduce((sum, { answered }) => sum + answered, 0);
  }

  /** Why the answers cannot be counted. It is undefined if they can be counted. */
  get trouble(): string | undefined {
    return this.#connections.find(({ trouble }) => trouble !== undefined)?.trouble;
  }

  async open(port: number, connections: number): Promise<void> {
    for (let count = 0; count < connections; count += 1) {
      const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 30_000 });
      this.#connections.push(new LoadConnection(stream, this.#first, this.#batchSize));
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
  }
}

class LoadConnection {
  readonly #stream: ByteStream;
  /** The HEADERS frames of a batch, one after another. All have the same length. */
  readonly #batch: Buffer;
  readonly #batchSize: number;
  /** The beginning of a frame whose header came in two chunks. */
  #begun = nothing;
  /** The number of bytes of the current frame that have not come yet. */
  #left = 0;
  #open = 0;
  #nextId = 1;
  #closed = false;
  answered = 0;
  trouble: string | undefined;

  constructor(stream: ByteStream, first: Buffer, batchSize: number) {
    this.#stream = stream;
    this.#batchSize = batchSize;
    const batch = new FrameWriter();
    for (let count = 0; count < batchSize; count += 1) batch.headers(1, laterBlock, true, maxFrameBytes);
    this.#batch = Buffer.from(batch.view());
    stream.setHandler({
      data: (chunk) => this.#data(chunk),
      end: () => this.#fail("it has ended a connection"),
      drain: () => undefined,
      close: () => this.#fail("it has closed a connection"),
    });
    stream.resume();
    const writer = new FrameWriter();
    writer.preface();
    writer.settings([[setting.initialWindowSize, window]]);
    writer.windowUpdate(0, window);
    writer.headers(this.#takeId(), first, true, maxFrameBytes);
    this.#open = 1;
    stream.write(Buffer.from(writer.view()));
  }

  close(): void {
    this.#closed = true;
    this.#stream.destroy();
  }

  #fail(trouble: string): void {
    if (!this.#closed) this.trouble ??= trouble;
  }

  #takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  #sendBatch(): void {
    const frameBytes = frameHeaderLength + laterBlock.length;
    const batch = Buffer.from(this.#batch);
    for (let at = 0; at < batch.length; at += frameBytes) batch.writeUInt32BE(this.#takeId(), at + 5);
    this.#open = this.#batchSize;
    this.#stream.write(batch);
  }

  #data(received: Buffer): void {
    const chunk = this.#begun.length === 0 ? received : Buffer.concat([this.#begun, received]);
    let at = this.#left;
    let ended = 0;
    // Handle a frame when its header and the first byte of its payload are there. A frame without a payload may end the
    // chunk.
    while (at + frameHeaderLength <= chunk.length) {
      const length = ((chunk[at] ?? 0) << 16) | ((chunk[at + 1] ?? 0) << 8) | (chunk[at + 2] ?? 0);
      if (at + frameHeaderLength === chunk.length && length > 0) break;
      const type = chunk[at + 3] ?? 0;
      const flags = chunk[at + 4] ?? 0;
      at += frameHeaderLength;
      if (type > frameType.headers) this.#control(type, flags);
      else {
        if (type === frameType.headers) this.#checkStatus(chunk[at] ?? 0);
        ended += flags & frameFlag.endStream;
      }
      at += length;
    }
    this.#begun = at < chunk.length ? Buffer.from(chunk.subarray(at)) : nothing;
    this.#left = Math.max(0, at - chunk.length);
    this.answered += ended;
    this.#open -= ended;
    if (this.#open === 0) this.#sendBatch();
  }

  #checkStatus(first: number): void {
    if (first !== status200 && (first & tableSizeMask) !== tableSizeUpdate) this.#fail("an answer is not 200");
  }

  #control(type: number, flags: number): void {
    if (type === frameType.rstStream || type === frameType.goaway) this.#fail("it has refused a request");
    if (type !== frameType.settings || (flags & frameFlag.ack) !== 0) return;
    const writer = new FrameWriter();
    writer.frame(frameType.settings, frameFlag.ack, 0);
    this.#stream.write(Buffer.from(writer.view()));
  }
}
