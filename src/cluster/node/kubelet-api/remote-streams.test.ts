import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { WebSocket } from "ws";
import { SpdySession } from "../../../wire/spdy/index.ts";
import { acceptRemoteStreams, type RemoteStreams } from "./remote-streams.ts";

const output = { stdin: false, stdout: true, stderr: true, tty: false };
const lines = 2_000;
/** A line of the output. The connection buffers some lines, and the streams buffer the rest. */
const line = Buffer.alloc(4_096, "x");
const status = { metadata: {}, status: "Success" };

/** Writes everything before the client has read any of it, and ends at once. A short command does the same. */
async function printAndFinish(streams: RemoteStreams): Promise<void> {
  for (let count = 0; count < lines; count += 1) streams.stdout?.write(line);
  streams.stderr?.write("a warning");
  await streams.finish(status);
}

/** Serves one upgrade with `ask` as the client, which gets the server's port. */
async function withServer(ask: (port: number) => Promise<void>): Promise<void> {
  const server = createServer();
  const served = once(server, "upgrade").then(async ([incoming, socket, head]: unknown[]) =>
    printAndFinish(await acceptRemoteStreams(incoming as IncomingMessage, socket as Duplex, head as Buffer, output)),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await ask((server.address() as AddressInfo).port);
    await served;
  } finally {
    server.close();
  }
}

test("a WebSocket client gets all output of a command before its status", async () => {
  await withServer(async (port) => {
    const client = new WebSocket(`ws://127.0.0.1:${port}/`, "v5.channel.k8s.io");
    const received = new Map<number, number>();
    let last: number | undefined;
    client.on("message", (message: Buffer) => {
      last = message[0] ?? 0;
      received.set(last, (received.get(last) ?? 0) + message.length - 1);
    });
    await once(client, "close");
    assert.deepEqual([received.get(1), received.get(2), last], [lines * line.length, "a warning".length, 3]);
  });
});

test("a SPDY client gets all output of a command before its status", async () => {
  await withServer(async (port) => {
    const opening = request({
      host: "127.0.0.1",
      port,
      headers: { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": "v4.channel.k8s.io" },
    });
    opening.end();
    const [, socket, head] = (await once(opening, "upgrade")) as [IncomingMessage, Duplex, Buffer];
    const session = new SpdySession({
      role: "client",
      send: (bytes) => void socket.write(bytes),
      opened: () => undefined,
    });
    const received: Record<string, number> = {};
    const ends: string[] = [];
    for (const name of ["error", "stdout", "stderr"])
      session.open({ streamtype: name }).setHandler({
        data: (bytes) => void (received[name] = (received[name] ?? 0) + bytes.length),
        end: () => void ends.push(name),
        reset: () => void ends.push(`${name} was reset`),
      });
    session.receive(head);
    socket.on("data", (chunk: Buffer) => session.receive(chunk));
    await once(socket, "close");
    assert.deepEqual(received, {
      stdout: lines * line.length,
      stderr: "a warning".length,
      error: JSON.stringify(status).length,
    });
    assert.deepEqual([ends.at(-1), ends.toSorted()], ["error", ["error", "stderr", "stdout"]]);
  });
});
