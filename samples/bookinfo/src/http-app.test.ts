import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { mock, test } from "node:test";
import { listenOnLoopback } from "../../../test/support/listen-on-loopback.ts";

const lookups: string[] = [];
let nowMs = 0;
mock.method(performance, "now", () => nowMs);
const dns = process.getBuiltinModule("node:dns");
type Found = (error: Error | null, addresses: readonly { readonly address: string; readonly family: number }[]) => void;
mock.method(dns, "lookup", (host: string, _options: object, found: Found) => {
  lookups.push(host);
  found(null, [{ address: "127.0.0.1", family: 4 }]);
});
const { getJson } = await import("./http-app.ts");

/** A time limit that a busy machine does not reach. */
const limitMs = 60_000;

async function getFrom(server: Server, timeoutMs = limitMs): Promise<unknown> {
  const port = await listenOnLoopback(server);
  try {
    return await getJson(`http://details.test:${port}/details/0`, {}, timeoutMs);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("each call opens a connection of its own, and an address is looked up once a second", async () => {
  let connections = 0;
  const server = createServer((_request, response) => response.end('{"id":0}'));
  server.on("connection", () => (connections += 1));
  const port = await listenOnLoopback(server);
  const get = async () => await getJson(`http://reviews.test:${port}/reviews/0`, {}, limitMs);
  const answers = [await get(), await get()];
  assert.deepEqual(answers[0], { status: 200, body: { id: 0 } });
  assert.deepEqual(answers[1], answers[0]);
  const lookupsOfReviews = (): number => lookups.filter((host) => host === "reviews.test").length;
  assert.deepEqual([connections, lookupsOfReviews()], [2, 1]);
  nowMs += 1_000;
  await get();
  assert.deepEqual([connections, lookupsOfReviews()], [3, 2]);
  server.close();
});

test("an answer that does not end in time, or is too long, is an error that says so", async () => {
  await assert.rejects(
    getFrom(
      createServer((_request, response) => response.write("{")),
      50,
    ),
    /no whole answer in 50 ms/,
  );
  await assert.rejects(
    getFrom(createServer((_request, response) => response.write("x".repeat(100_000)))),
    /the body is longer than 65536 bytes/,
  );
  await assert.rejects(getFrom(createServer(({ socket }) => socket.destroy())), /socket hang up/);
});
