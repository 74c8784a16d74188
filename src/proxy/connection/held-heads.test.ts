import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { heldInput, heldInputBytes } from "../../dataplane/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

const threads = 1_000_000;
const leastLimit = heldInputBytes(0, threads);

class Client {
  readonly #socket: Socket;
  received = "";
  isClosed = false;

  constructor(port: number, localAddress: string) {
    this.#socket = connect({ port, host: "127.0.0.1", localAddress });
    this.#socket.on("data", (bytes) => (this.received += bytes.toString("latin1")));
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => (this.isClosed = true));
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  end(): void {
    this.#socket.destroy();
  }
}

const begun = (bytes: number): string => `GET / HTTP/1.1\r\nhost: a\r\nx-long: ${"x".repeat(bytes)}`;

test("a client with many connections that never complete a head loses some, and another client none", async () => {
  const left = heldInput.bytes;
  heldInput.shareAmong(threads);
  try {
    await using harness = await Harness.start();
    const app = await harness.backend((_, response) => response.end("hello"));
    harness.cluster("app", [app.port]);
    harness.table = tableOf(route(forwardTo("app")));
    const honest = new Client(harness.port, "127.0.0.2");
    honest.send(begun(10_000));
    await until(() => heldInput.bytes > left + 10_000, "the honest client's bytes arrive");
    const greedy: Client[] = [];
    for (let count = 0; count < 180; count += 1) {
      const before = heldInput.bytes;
      const client = new Client(harness.port, "127.0.0.3");
      greedy.push(client);
      client.send(begun(50_000));
      await until(() => heldInput.bytes < before || heldInput.bytes > before + 50_000, "the bytes arrive");
      assert.ok(heldInput.bytes <= leastLimit + 60_000, `${heldInput.bytes}`);
    }
    await until(() => greedy.some(({ isClosed }) => isClosed), "some of the greedy client's connections end");
    honest.send("\r\n\r\n");
    await until(() => honest.received.includes("hello"), "the honest client is answered");
    for (const client of [honest, ...greedy]) client.end();
    await until(() => heldInput.bytes === left, "nothing is left");
  } finally {
    heldInput.shareAmong(1);
  }
});
