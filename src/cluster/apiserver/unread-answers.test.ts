import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:http2";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { ServerHarness } from "./server-harness.ts";
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

test("a client that opens lists and reads none of them loses some, and the server continues", async () => {
  const server = await new ServerHarness().start({ maxUnreadBytes: 8 * 1024 * 1024 });
  try {
    const path = "/api/v1/namespaces/default/configmaps";
    await server.call("POST", path, { metadata: { name: "big" }, data: { text: "x".repeat(900_000) } });
    // Node bounds the memory of one connection.
    const sessions = Array.from({ length: 30 }, () =>
      connect(`https://127.0.0.1:${server.port}`, {
        ...server.credentials(),
        settings: { initialWindowSize: 1024 },
      }).on("error", () => undefined),
    );
    const streams = sessions.map((session) => session.request({ ":path": path }).on("error", () => undefined));
    // The server resets them. Their unread bytes still wait here.
    await until(() => streams.some(({ closed }) => closed));
    assert.equal((await server.call("GET", path)).status, 200);
    for (const session of sessions) session.destroy();
  } finally {
    await server.remove();
  }
});
