import assert from "node:assert/strict";
import { get, type IncomingMessage } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { requireFinalResponse } from "./index.ts";

/** The status of the answer of a server that sends this many interim responses before it, or before it ends. */
async function statusAfter(interimCount: number, final: string): Promise<number | undefined> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(interimCount));
      socket.end(final);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      requireFinalResponse(get({ port, host: "127.0.0.1", agent: false }, resolve).on("error", reject));
    });
    response.resume();
    return response.statusCode;
  } finally {
    server.close();
  }
}

test("a request to a server whose interim responses do not end fails, and some of them are ignored", async () => {
  assert.equal(await statusAfter(100, "HTTP/1.1 204 No Content\r\n\r\n"), 204);
  await assert.rejects(statusAfter(101, ""), /more than 100 interim responses/);
});

test("a request whose server switches protocols unasked fails at once, although Node reports nothing", async () => {
  await assert.rejects(
    statusAfter(0, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes"),
    /switched to another protocol/,
  );
});
