import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { until } from "../../../base/testing/index.ts";
import { BufferFilter, BufferSettings } from "../../filters/buffer-filter.ts";
import { passed, type HttpFilter } from "../../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";
import { heldBodies, heldBodyBytes } from "./held-bodies.ts";

const mebibyte = 1 << 20;
const megabyte = Buffer.alloc(mebibyte, "x");

/** Sets the smallest limit that a proxy can have. */
function withLeastLimit(): Disposable & { readonly bytes: number } {
  const threads = 1_000_000;
  heldBodies.shareAmong(threads);
  return { bytes: heldBodyBytes(0, threads), [Symbol.dispose]: () => heldBodies.shareAmong(1) };
}

class Client {
  readonly socket: Socket;
  received = "";

  constructor(port: number, localAddress: string) {
    this.socket = connect({ port, host: "127.0.0.1", localAddress });
    this.socket.on("data", (bytes) => (this.received += bytes.toString("latin1")));
    this.socket.on("error", () => undefined);
  }

  send(text: string, mebibytes = 0): void {
    this.socket.write(text);
    for (let sent = 0; sent < mebibytes; sent += 1) this.socket.write(megabyte);
  }

  get status(): string {
    return this.received.split(" ")[1] ?? "";
  }
}

test("a client that sends bodies to a waiting filter and ends none loses requests, and another client none", async () => {
  using limit = withLeastLimit();
  const filter = new BufferFilter("buffer", new BufferSettings(20 * mebibyte));
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
  const app = await harness.backend((request, response) => {
    let bytes = 0;
    request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    request.on("end", () => response.end(`got ${bytes}`));
  });
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  const honest = new Client(harness.port, "127.0.0.2");
  const head = (mebibytes: number): string =>
    `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${mebibytes * mebibyte}\r\n\r\n`;
  honest.send(head(2), 1);
  const greedy: Client[] = [];
  let most = 0;
  for (let client = 0; client < 8; client += 1) {
    const next = new Client(harness.port, "127.0.0.3");
    greedy.push(next);
    next.send(head(20), 10);
    const held = heldBodies.bytes;
    await until(() => heldBodies.bytes !== held && next.socket.writableLength === 0);
    most = Math.max(most, heldBodies.bytes);
  }
  assert.ok(most <= limit.bytes + mebibyte, `${most}`);
  const refused = greedy.filter(({ status }) => status === "503");
  assert.ok(refused.length >= 4, greedy.map(({ status }) => status).join());
  assert.ok(harness.records.every(({ flag, status }) => flag === "OM" && status === 503));
  honest.send("", 1);
  await until(() => honest.received.includes(`got ${2 * mebibyte}`));
  for (const client of [honest, ...greedy]) client.socket.destroy();
  await until(() => heldBodies.bytes === 0);
});

test("responses that filters wait for count as their client's", async () => {
  using limit = withLeastLimit();
  const reads: HttpFilter = {
    name: "reads",
    onRequest: () => undefined,
    stream: () => ({
      responseHead: async (response) => {
        await response.bodyStart(20 * mebibyte);
        return passed;
      },
    }),
  };
  await using harness = await Harness.start({ filters: [reads], filtersIdle: false });
  const app = await harness.backend((_, response) => {
    for (let sent = 0; sent < 10; sent += 1) response.write(megabyte);
  });
  harness.cluster("app", [app.port]);
  harness.table = tableOf(route(forwardTo("app")));
  const clients: Client[] = [];
  for (let client = 0; client < 6; client += 1) {
    const next = new Client(harness.port, "127.0.0.3");
    clients.push(next);
    next.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  }
  await until(() => clients.filter(({ status }) => status === "503").length >= 3);
  assert.ok(heldBodies.bytes <= limit.bytes + mebibyte, `${heldBodies.bytes}`);
  for (const client of clients) client.socket.destroy();
  await until(() => heldBodies.bytes === 0);
});

test("each thread may hold the largest body that a filter sees, and all together an eighth of the memory", () => {
  const gibibyte = 1024 * mebibyte;
  assert.deepEqual(
    [heldBodyBytes(0, 1), heldBodyBytes(gibibyte, 2), heldBodyBytes(128 * mebibyte, 4)],
    [256 * mebibyte, 64 * mebibyte, 32 * mebibyte],
  );
});
