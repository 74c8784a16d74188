import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect, constants } from "node:http2";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { until } from "../../base/testing/index.ts";
import { ServerHarness } from "./testing/server-harness.ts";
import { UnreadAnswers } from "./unread-answers.ts";

class FakeAnswer extends EventEmitter {
  writableLength: number;

  constructor(bytes: number) {
    super();
    this.writableLength = bytes;
  }

  destroy(): this {
    this.writableLength = 0;
    this.emit("close");
    return this;
  }
}

test("above the bound, the user with the most unread bytes loses the answers with the most", () => {
  const unread = new UnreadAnswers(100);
  const open = (user: string, ...sizes: number[]): FakeAnswer[] =>
    sizes.map((size) => {
      const answer = new FakeAnswer(size);
      unread.follow(user, answer as unknown as ServerResponse);
      return answer;
    });
  const jane = open("jane", 30);
  const joe = open("joe", 5, 40, 20);
  assert.equal(unread.enforce(), undefined);
  joe.push(...open("joe", 6));
  assert.deepEqual(unread.enforce(), { user: "joe", count: 2 });
  assert.deepEqual(
    [...jane, ...joe].map(({ writableLength }) => writableLength),
    [30, 5, 0, 0, 6],
  );
  assert.equal(unread.enforce(), undefined);
});

test("an answer with nothing unread is not ended, and an ended one that is not closed yet is not ended again", () => {
  const unread = new UnreadAnswers(100);
  const ended: string[] = [];
  const open = (name: string, writableLength: number): void =>
    unread.follow("joe", {
      writableLength,
      once: () => undefined,
      destroy: () => ended.push(name),
    } as unknown as ServerResponse);
  open("list", 101);
  open("watch", 0);
  assert.deepEqual(unread.enforce(), { user: "joe", count: 1 });
  assert.equal(unread.enforce(), undefined);
  for (const user of ["ann", "bob", "cid"])
    unread.follow(user, { writableLength: 45, once: () => undefined, destroy: () => ended.push(user) } as never);
  assert.deepEqual(unread.enforce(), { user: "ann", count: 1 });
  assert.deepEqual(ended, ["list", "ann"]);
});

test("answers that wait behind an unread one on the same connection count, and end with it", async (t) => {
  const server = await new ServerHarness().start({ maxUnreadBytes: 8 * 1024 * 1024 });
  const follow = t.mock.method(UnreadAnswers.prototype, "follow");
  try {
    const path = "/api/v1/namespaces/default/configmaps";
    await server.call("POST", path, { metadata: { name: "big" }, data: { text: "x".repeat(900_000) } });
    const socket = connectTls({
      host: "127.0.0.1",
      port: server.port,
      ...server.credentials(),
      ALPNProtocols: ["http/1.1"],
    }).on("error", () => undefined);
    const closed = once(socket, "close");
    // The unique host distinguishes this test's server from other servers in the same process.
    const host = "unread.example";
    const request = (query: string): string => `GET ${path}${query} HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
    socket.resume().write(request("?watch=true") + request("?watch=true") + request("").repeat(20));
    await closed;
    const pipelined = follow.mock.calls
      .map(({ arguments: [, answer] }) => answer as ServerResponse)
      .filter(({ req }) => req.headers.host === host);
    assert.ok(pipelined.length > 0, "the server took none of the requests");
    assert.equal((await server.call("GET", path)).status, 200);
    await until(() => pipelined.every(({ destroyed }) => destroyed));
  } finally {
    await server.remove();
  }
});

test("a client that opens lists and reads none of them loses some, and the server continues", async () => {
  const server = await new ServerHarness().start({ maxUnreadBytes: 8 * 1024 * 1024 });
  try {
    const path = "/api/v1/namespaces/default/configmaps";
    await server.call("POST", path, { metadata: { name: "big" }, data: { text: "x".repeat(900_000) } });
    // Use many connections, because Node.js bounds the memory of each one.
    const sessions = Array.from({ length: 30 }, () =>
      connect(`https://127.0.0.1:${server.port}`, {
        ...server.credentials(),
        settings: { initialWindowSize: 1024 },
      }).on("error", () => undefined),
    );
    const streams = sessions.map((session) => session.request({ ":path": path }).on("error", () => undefined));
    // The server resets some streams. Their unread bytes stay in the client's buffers.
    await until(() => streams.some(({ closed }) => closed));
    assert.equal(streams.find(({ closed }) => closed)?.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    assert.equal((await server.call("GET", path)).status, 200);
    for (const session of sessions) session.destroy();
  } finally {
    await server.remove();
  }
});
