import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock, until } from "../../base/testing/index.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";

test("the time limit of an attempt begins when the request is complete, so that a long upload is not cut off", async () => {
  const clock = new HandClock();
  await using harness = await Harness.start({}, 1, { clock });
  const received = { text: "" };
  const port = await harness.rawBackend((socket) =>
    socket.on("data", (chunk: Buffer) => (received.text += chunk.toString("latin1"))),
  );
  harness.cluster("a", [port]);
  harness.table = tableOf(
    route(forwardTo("a", { retry: retryPolicy({ retries: 0, perTryTimeoutMs: 500, on: { serverError: true } }) })),
  );
  const client = harness.client();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab");
  await until(() => received.text.endsWith("ab"));
  clock.pass(501);
  client.send("cde");
  await until(() => received.text.endsWith("abcde"));
  assert.equal(client.received, "");
  clock.pass(499);
  assert.equal(harness.records.length, 0);
  clock.pass(1);
  assert.match(await client.until(/upstream request timeout$/), /^HTTP\/1\.1 504 /);
  assert.equal(harness.records[0]?.details, "upstream_per_try_timeout");
});
