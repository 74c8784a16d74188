import { SpdySession } from "../../../src/wire/spdy/index.ts";
import { encodeFrame, encodeHeaders } from "../../../src/wire/spdy/frames.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

const maxStreams = 2000;

function play(input: Buffer, pieceBytes: number): string {
  const events: string[] = [];
  const record = (line: string): void => void events.push(line);
  const session = new SpdySession({
    role: "server",
    send: (bytes) => record(`sent ${Buffer.from(bytes).toString("hex")}`),
    opened: (stream) => {
      record(`opened ${stream.id} ${JSON.stringify(stream.headers)}`);
      stream.setHandler({
        data: (bytes) => record(`data ${stream.id} ${bytes.length}`),
        end: () => {
          record(`end ${stream.id}`);
          stream.end();
        },
        reset: () => record(`reset ${stream.id}`),
      });
      stream.write(Buffer.from("a"));
    },
  });
  try {
    for (let at = 0; at < input.length; at += pieceBytes) session.receive(input.subarray(at, at + pieceBytes));
  } catch (error) {
    expectRefusal(error, RangeError);
    record("refused");
  }
  expect(session.openStreams <= maxStreams, "streams are bounded");
  return events.join("\n");
}

function frames(): Buffer {
  let sent = Buffer.alloc(0);
  const client = new SpdySession({
    role: "client",
    send: (bytes) => {
      sent = Buffer.concat([sent, bytes]);
    },
    opened: () => undefined,
  });
  const stream = client.open({ streamtype: "stdin", port: "80" });
  client.open({ streamtype: "error" });
  stream.write(Buffer.from("hello"));
  stream.end();
  return sent;
}

const block = Buffer.concat([Buffer.from([0x78, 0x20, 0, 0, 0, 0, 0]), encodeHeaders({ a: "b" })]);

export const target: FuzzTarget = {
  title: "SPDY/3.1 of exec, attach and port-forward",
  seeds: [
    frames(),
    Buffer.from(encodeFrame({ type: "ping", id: 1 })),
    Buffer.concat([
      encodeFrame({ type: "syn-stream", streamId: 1, fin: true, unidirectional: false, block }),
      encodeFrame({ type: "headers", streamId: 1, fin: true, block }),
      encodeFrame({ type: "rst-stream", streamId: 1, status: 5 }),
      encodeFrame({ type: "goaway", lastStreamId: 1, status: 0 }),
    ]),
    // Two deflate blocks, with fixed and with dynamic codes.
    Buffer.concat([
      encodeFrame({ type: "syn-reply", streamId: 1, fin: false, block: Buffer.from("782063e05000010000ffff", "hex") }),
      encodeFrame({ type: "headers", streamId: 1, fin: false, block: Buffer.from("05c0810800000800c02c", "hex") }),
    ]),
  ],
  run: (input) => {
    const atOnce = play(input, Math.max(1, input.length));
    expect(play(input, 5) === atOnce, "frames mean the same in pieces");
  },
};
