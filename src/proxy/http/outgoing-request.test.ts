import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";

test("each attempt states its number and has the whole request", async () => {
  await using harness = await Harness.start();
  const attempts = 102;
  const requests: [count: string, body: string][] = [];
  const { port } = await harness.backend((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      requests.push([String(request.headers["x-envoy-attempt-count"]), body]);
      response.statusCode = requests.length < attempts ? 503 : 200;
      response.end();
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(
    route(
      forwardTo("a", {
        includeAttemptCount: true,
        retry: retryPolicy({ retries: attempts, on: { retriableStatusCodes: true }, retriableStatusCodes: [503] }),
      }),
    ),
  );
  const body = "0123456789".repeat(300);
  // The connection is kept: the next request begins with one digit again.
  const client = harness.client();
  client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  await client.until(/^HTTP\/1\.1 200 /);
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await client.until(/HTTP\/1\.1 200 [^]*HTTP\/1\.1 200 /);
  client.socket.destroy();
  assert.deepEqual(requests, [
    ...Array.from({ length: attempts }, (_, made) => [String(made + 1), body] as [string, string]),
    ["1", ""],
  ]);
});
