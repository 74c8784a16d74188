import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageHead, scanRequestHead } from "../../wire/http1/index.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf, testConnectionConfig } from "../testing/harness.ts";
import type { UpstreamChannel } from "../upstream/upstream-channel.ts";
import { ByteBuilder } from "./messages/byte-builder.ts";
import { composeRequest, type RequestComposition } from "./messages/compose-request.ts";
import { ExchangeMemory, ReplayBudget } from "./exchange-memory.ts";
import { OutgoingRequest } from "./outgoing-request.ts";

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
  // The second request uses the same connection. Its attempt number has one digit again, although the last attempt
  // number of the first request had three.
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

/** Posts a body to a backend that answers the first attempt with 503. Returns the final status and the whole bodies. */
async function posted(size: number, retries: number): Promise<[status: number, ...bodies: number[]]> {
  await using harness = await Harness.start();
  const bodies: number[] = [];
  const { port } = await harness.backend((request, response) => {
    let length = 0;
    request.on("data", (chunk: Buffer) => (length += chunk.length));
    request.on("end", () => {
      bodies.push(length);
      response.writeHead(bodies.length === 1 ? 503 : 200).end();
    });
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ retries, on: { serverError: true } }) })));
  const { status } = await harness.get("/", { method: "POST", body: Buffer.alloc(size) });
  return [status, ...bodies];
}

const kib = 1024;

test("a request with a retry policy is kept for another attempt up to 1 MiB", async () => {
  assert.deepEqual(await posted(kib * kib, 1), [200, kib * kib, kib * kib]);
  assert.deepEqual(await posted(kib * kib + 1, 1), [503, kib * kib + 1]);
});

const composition = (): RequestComposition => {
  const head = new MessageHead();
  const text = Buffer.from("POST / HTTP/1.1\r\nhost: a\r\n\r\n");
  scanRequestHead(head, text, 0, text.length);
  const client = { head, internalPeer: true, externalAddress: "", scheme: "http", forwardedFor: "" } as const;
  return {
    client: {
      ...client,
      forwardedPort: undefined,
      clientCertificate: "drop",
      requestIdIsNew: false,
      newRequestId: undefined,
      randomId: undefined,
    },
    config: testConnectionConfig,
    target: undefined,
    originalPath: undefined,
    host: undefined,
    forwardedHost: undefined,
    trace: undefined,
    settled: undefined,
    peerMetadata: undefined,
    upgrade: undefined,
    edits: undefined,
    expectedMs: 0,
    tellsTimeout: false,
    tellsGrpcTimeout: false,
    attemptCount: false,
  };
};

test("all requests together are kept up to a budget, and those beyond it have one attempt", () => {
  const budgets = { ofPolicies: new ReplayBudget(1000 * kib), ofAll: new ReplayBudget(1000 * kib) };
  const channel = { write: () => true, holdsBytes: true } as unknown as UpstreamChannel;
  const memories = [new ExchangeMemory(), new ExchangeMemory(), new ExchangeMemory(), new ExchangeMemory()];
  const made = memories.map((memory) => {
    const request = new OutgoingRequest(memory, false, budgets);
    request.compose(composition(), "plain", true);
    return request;
  });
  const [first, second, third, small] = made;
  assert.ok(first !== undefined && second !== undefined && third !== undefined && small !== undefined);
  const send = (request: OutgoingRequest, size: number): boolean => {
    request.body(Buffer.alloc(size), 0, size, false, channel);
    return request.replayable;
  };
  assert.equal(send(first, 600 * kib), true);
  assert.equal(send(second, 600 * kib), false, "1072 KiB beyond the free part");
  assert.equal(send(small, 64 * kib), true, "the free part");
  first.answerStarted();
  assert.equal(send(third, 600 * kib), true);
  assert.equal(send(third, 500 * kib), false, "more than one request may keep");
  assert.equal(send(small, kib), true);
  for (const request of made) request.end();
  for (const budget of Object.values(budgets)) assert.equal(budget.take(1000 * kib), true, "everything was given back");
  assert.deepEqual(
    memories.map((memory) => memory.request.buffer.length),
    [2048, 2048, 2048, 2048],
  );
});

test("requests without a retry policy are kept up to a budget too, because a client may have thousands at a silent server", () => {
  const budgets = { ofPolicies: new ReplayBudget(0), ofAll: new ReplayBudget(1000 * kib) };
  const channel = { write: () => true, holdsBytes: false } as unknown as UpstreamChannel;
  const made = Array.from({ length: 100 }, () => {
    const request = new OutgoingRequest(new ExchangeMemory(), false, budgets);
    request.compose(composition(), "plain", false);
    return request;
  });
  const send = (size: number): number => {
    for (const request of made) request.body(Buffer.alloc(size), 0, size, false, channel);
    return made.filter(({ replayable }) => replayable).length;
  };
  assert.equal(send(4 * kib), 100, "small requests are not counted");
  assert.equal(send(60 * kib), 16);
  for (const request of made) request.end();
  assert.equal(budgets.ofAll.take(1000 * kib), true, "everything was given back");
});

test("a request without a retry policy is kept up to 64 KiB", () => {
  const request = new OutgoingRequest(new ExchangeMemory(), false);
  request.compose(composition(), "plain", false);
  const channel = { write: () => true, holdsBytes: false } as unknown as UpstreamChannel;
  request.body(Buffer.alloc(64 * kib), 0, 64 * kib, false, channel);
  assert.equal(request.replayable, true);
  request.body(Buffer.alloc(1), 0, 1, false, channel);
  assert.equal(request.replayable, false);
});

test("a request has the version HTTP/1.1, and the client's own target and host unless these change", () => {
  const client = new MessageHead();
  for (const version of ["1.0", "1.1"])
    for (const target of [undefined, "/b"])
      for (const host of [undefined, "b.test"])
        for (const fields of ["host: a\r\nx-a: 1\r\n", "connection: close\r\nhost: a\r\nx-a: 1\r\n"]) {
          const bytes = Buffer.from(`\r\nPOST /a?b HTTP/${version}\r\n${fields}\r\nbody`, "latin1");
          assert.ok(scanRequestHead(client, bytes, 0, bytes.length) > 0);
          const out = new ByteBuilder(8);
          const plain = composition();
          composeRequest(out, { ...plain, client: { ...plain.client, head: client }, target, host });
          const [line, ...lines] = out.view().toString("latin1").split("\r\n");
          assert.equal(line, `POST ${target ?? "/a?b"} HTTP/1.1`);
          assert.deepEqual(
            lines.filter((text) => /^(?:host|x-a|connection)/.test(text)),
            host === undefined ? ["host: a", "x-a: 1"] : [`host: ${host}`, "x-a: 1"],
          );
          assert.deepEqual(lines.slice(-2), ["", ""]);
        }
});
