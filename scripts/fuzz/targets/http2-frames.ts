import {
  FrameReader,
  FrameWriter,
  type FrameHandler,
  hpackEncode,
  Http2ConnectionError,
} from "../../../src/wire/http2/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

/** Records what a reader reported. It joins DATA frames, because a reader may split their bytes anywhere. */
class RecordedFrames implements FrameHandler {
  readonly lines: string[] = [];
  #data = "";

  #record(line: string): void {
    this.end();
    this.lines.push(line);
  }

  end(): void {
    if (this.#data !== "") this.lines.push(this.#data);
    this.#data = "";
  }

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    const begin = `data ${streamId} `;
    this.#data = `${this.#data.startsWith(begin) ? this.#data : begin}${chunk.toString("hex")}`;
    if (endStream) this.#record(`end ${streamId}`);
  }

  padding(streamId: number, length: number): void {
    expect(streamId > 0 && length >= 0, "padding is of a stream");
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    this.#record(`headers ${streamId} ${JSON.stringify(fields)} ${endStream}`);
  }

  rstStream(streamId: number, code: number): void {
    this.#record(`reset ${streamId} ${code}`);
  }

  settings(values: ReadonlyMap<number, number>): void {
    this.#record(`settings ${JSON.stringify([...values])}`);
  }

  settingsAck(): void {
    this.#record("settings ack");
  }

  ping(opaque: Buffer): void {
    this.#record(`ping ${opaque.toString("hex")}`);
  }

  pingAck(opaque: Buffer): void {
    this.#record(`ping ack ${opaque.toString("hex")}`);
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#record(`goaway ${lastStreamId} ${code} ${debug}`);
  }

  windowUpdate(streamId: number, increment: number): void {
    expect(increment > 0, "a window grows");
    this.#record(`window ${streamId} ${increment}`);
  }

  smallData(streamId: number, isPadded: boolean): void {
    this.#record(`small ${streamId} ${isPadded}`);
  }

  ignored(type: number): void {
    this.#record(`ignored ${type}`);
  }
}

function read(input: Buffer, pieceBytes: number): string {
  const recorder = new RecordedFrames();
  const reader = new FrameReader(recorder, {
    maxFrameSize: 16_384,
    expectPreface: false,
    maxHeaderBlockBytes: 2048,
    maxHeaderListBytes: 4096,
  });
  try {
    for (let at = 0; at < input.length; at += pieceBytes) reader.push(input.subarray(at, at + pieceBytes));
  } catch (error) {
    expectRefusal(error, Http2ConnectionError);
    recorder.end();
    recorder.lines.push(`error ${(error as Error).message}`);
  }
  recorder.end();
  return recorder.lines.join("\n");
}

function written(write: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter();
  writer.settings([[4, 1000]]);
  write(writer);
  return Buffer.from(writer.view());
}

const request = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);

export const target: FuzzTarget = {
  title: "frames of HTTP/2",
  seeds: [
    written((writer) => writer.headers(1, request, true, 16_384)),
    written((writer) => {
      writer.headers(1, request, false, 10);
      writer.data(1, Buffer.from("hello"), 0, 5, true);
      writer.windowUpdate(0, 100);
    }),
    written((writer) => {
      writer.ping(Buffer.alloc(8), false);
      writer.goaway(0, 0);
      writer.rstStream(1, 8);
      writer.frame(0, 9, 1, Buffer.from([2, 65, 66, 0, 0]));
      writer.frame(1, 0x2d, 3, Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 1]), request, Buffer.alloc(1)]));
      writer.frame(2, 0, 3, Buffer.alloc(5));
    }),
  ],
  run: (input) => {
    const atOnce = read(input, Math.max(1, input.length));
    for (const pieceBytes of [1, 10]) expect(read(input, pieceBytes) === atOnce, "frames mean the same in pieces");
  },
};
