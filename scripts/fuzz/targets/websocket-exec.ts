import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { acceptRemoteStreams } from "../../../src/cluster/node/kubelet-api/remote-streams.ts";
import { expect, type FuzzTarget } from "../target.ts";

const maxHeldBytes = 4 << 20;

/** A client's connection that discards everything written to it. */
class Client extends Duplex {
  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }

  setTimeout(): void {}
  setNoDelay(): void {}
}

const request = {
  method: "GET",
  url: "/exec",
  headers: {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "v5.channel.k8s.io",
  },
};

function frame(opcode: number, payload: string): Buffer {
  const bytes = Buffer.from(payload, "latin1");
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]);
}

export const target: FuzzTarget = {
  title: "the WebSocket of exec and attach",
  seeds: [
    frame(2, "\0hello"),
    frame(2, '\x04{"Width":80,"Height":24}'),
    Buffer.concat([frame(2, "\xff\0"), frame(8, "\x03\xe8bye")]),
    Buffer.concat([frame(9, "ping"), frame(10, "pong"), frame(1, "text")]),
  ],
  words: ["\x82\x80\0\0\0\0", "\x04{", '{"Width":', "\x82\xfe\x01\0\0\0\0\0", "\x82\xff"],
  maxBytes: 500,
  run: async (input) => {
    const socket = new Client();
    const wanted = { stdin: true, stdout: true, stderr: true, tty: true };
    const message = { ...request, headers: { ...request.headers } } as unknown as IncomingMessage;
    const streams = await acceptRemoteStreams(message, socket, Buffer.alloc(0), wanted);
    const sizes: unknown[] = [];
    streams.onResize((columns, rows) => sizes.push(columns, rows));
    let bytes = 0;
    streams.stdin?.on("data", (chunk: Buffer) => (bytes += chunk.length));
    // Sends the input in two halves, with a turn of the event loop between them.
    socket.push(input.subarray(0, input.length >> 1));
    await new Promise((resolve) => setImmediate(resolve));
    socket.push(input.subarray(input.length >> 1));
    await new Promise((resolve) => setImmediate(resolve));
    expect(bytes <= Math.min(input.length, maxHeldBytes), "stdin gets what was sent");
    expect(
      sizes.every((size) => typeof size === "number" && size > 0),
      "a terminal's size is of numbers",
    );
    streams.stdout?.write("x");
    socket.destroy();
    await new Promise((resolve) => setImmediate(resolve));
  },
};
