import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HttpConnectionManagerSchema } from "../../wire/envoy/index.ts";
import { compileHttpConnectionManager } from "../config/listeners/http-connection-manager-config.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { exactly, headerMatches } from "../routing/matchers.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { pseudoFault } from "../http2/http2-pseudo.ts";

interface Passed {
  readonly status: number;
  /** The request at the upstream, in lower case. Empty if none came. */
  readonly head: string;
}

async function send(text: string, config: Partial<HttpConnectionConfig> = {}): Promise<Passed> {
  await using harness = await Harness.start(config);
  let head = "";
  harness.cluster("a", [
    await harness.rawBackend((socket) =>
      socket.on("data", (chunk) => {
        head += chunk.toString("latin1").toLowerCase();
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      }),
    ),
  ]);
  harness.table = tableOf(route(forwardTo("a")));
  const client = harness.client();
  client.send(text);
  const answer = await client.until(/\r\n\r\n/);
  return { status: Number(answer.slice(9, 12)), head };
}

const get = (fields: string): string => `GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`;
const forgedFields = [
  "x-envoy-retry-on: 5xx",
  "x-envoy-max-retries: 9",
  "x-envoy-upstream-rq-timeout-ms: 1",
  "x-envoy-original-url: /admin",
  "x-envoy-force-trace: 1",
  "x-envoy-ip-tags: a",
  "x-envoy-internal: true",
];

test("an absolute target names a host, and no pattern, escape or empty port", async () => {
  const statusOf = async (host: string): Promise<number> =>
    (await send(`GET http://${host}/x HTTP/1.1\r\nHost: a.test\r\n\r\n`)).status;
  for (const host of ["*", "*.test", "a.test:", "a%2etest", "a.test%00", "a.test!", "a.test;x", "a.test,b.test"])
    assert.equal(await statusOf(host), 400, host);
  for (const host of ["b.test", "B.test:80", "b_1.test", "[::1]", "127.0.0.1:8080"])
    assert.equal(await statusOf(host), 200, host);
});

describe("x-envoy fields", () => {
  const fields = `${forgedFields.join("\r\n")}\r\nx-envoy-decorator-operation: a\r\n`;

  test("of a client that the listener treats as external are removed, even from a private address", async () => {
    const { head } = await send(get(fields));
    assert.deepEqual(head.match(/^x-envoy-.*$/gm), ["x-envoy-external-address: 127.0.0.1"]);
    assert.doesNotMatch(
      (await send(get(fields), { useRemoteAddress: false, appendForwardedFor: false })).head,
      new RegExp(forgedFields.join("|")),
    );
  });

  test("of an internal client stay, unless another proxy is in between", async () => {
    const internalAddresses = [(address: string) => address === "127.0.0.1"];
    const { head } = await send(get(fields), { internalAddresses });
    for (const line of forgedFields) assert.ok(head.includes(line), line);
    const forwarded = await send(get(`${fields}x-forwarded-for: 127.0.0.1\r\n`), { internalAddresses });
    assert.doesNotMatch(forwarded.head, /x-envoy-(retry|internal)/);
  });

  test("are kept for clients in the ranges of internalAddressConfig", () => {
    const message = create(HttpConnectionManagerSchema, {
      internalAddressConfig: { cidrRanges: [{ addressPrefix: "10.0.0.0", prefixLen: 8 }] },
      routeSpecifier: { case: "routeConfig", value: { name: "r" } },
    });
    const { connection } = compileHttpConnectionManager(message, "test", new ConfigNotes(() => undefined));
    assert.deepEqual(
      ["10.1.2.3", "11.1.2.3"].map((address) => connection.internalAddresses.some((holds) => holds(address))),
      [true, false],
    );
  });
});

describe("names in the connection header", () => {
  for (const value of [
    "host",
    "X-Forwarded-For",
    "x-forwarded-host",
    "x-forwarded-proto",
    ":path",
    ":method",
    "close, :authority",
  ])
    test(`may not be ${value}`, async () => {
      assert.deepEqual(await send(get(`Connection: ${value}\r\nX-Forwarded-For: 1.1.1.1\r\n`)), {
        status: 400,
        head: "",
      });
    });

  test("may name at most nine fields, in one field or more", async () => {
    const names = (count: number): string => Array.from({ length: count }, (_, index) => `x-${index}`).join(",");
    assert.equal((await send(get(`Connection: ${names(9)}\r\n`))).status, 200);
    for (const fields of [`Connection: ${names(10)}\r\n`, `Connection: ${names(6)}\r\nConnection: ${names(6)}\r\n`])
      assert.equal((await send(get(fields))).status, 400);
  });

  test("is hidden from routes and policies, because the upstream does not see it", async () => {
    await using harness = await Harness.start();
    const role = headerMatches({ name: "x-role", value: exactly("admin"), invert: false, treatMissingAsEmpty: false });
    const answer = (status: number) => ({ kind: "direct-response", status, body: Buffer.alloc(0) }) as const;
    harness.table = tableOf(route(answer(418), { matches: role }), route(answer(200)));
    const client = harness.client();
    client.send(get("Connection: X-Role\r\nX-Role: admin\r\n"));
    assert.match(await client.until(/\r\n\r\n/), /^HTTP\/1.1 200/);
  });
});

test("a method must be in capitals: a rule for DELETE does not match delete, and some servers ignore case", async () => {
  for (const method of ["get", "Delete", "delete", "pATCH"])
    assert.deepEqual(await send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`), { status: 400, head: "" });
  assert.equal((await send("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n")).status, 200);
});

test("a request names a host, even over HTTP/1.0, unless the listener has a default host", async () => {
  for (const text of ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n"])
    assert.deepEqual(await send(text), { status: 400, head: "" });
  const { status, head } = await send("GET / HTTP/1.0\r\n\r\n", { defaultHostForHttp10: "old.test" });
  assert.equal(status, 200);
  assert.match(head, /^host: old.test\r$/m);
});

test("pseudo fields of HTTP/2 state one host, one path and one valid scheme", () => {
  const fault = (name: string, value: string): boolean => pseudoFault([":method", "GET", name, value]) !== undefined;
  for (const [name, value] of [
    [":path", "http://b.test/x"],
    [":path", "b.test:80"],
    [":path", "a"],
    [":path", "?a"],
    [":scheme", ""],
    [":scheme", "ftp"],
    [":scheme", "http://evil.test/?"],
    [":authority", ""],
  ] as const)
    assert.ok(fault(name, value), `${name} ${value}`);
  for (const [name, value] of [
    [":path", "/x?y"],
    [":path", "*"],
    [":scheme", "https"],
    [":authority", "a.test"],
    ["path", "a"],
  ] as const)
    assert.ok(!fault(name, value), `${name} ${value}`);
});

test("bytes behind a CONNECT that got no tunnel are not read as the client's next request", async () => {
  await using harness = await Harness.start();
  const heads: string[] = [];
  harness.cluster("a", [
    await harness.rawBackend((socket) =>
      socket.on("data", (chunk) => {
        heads.push(chunk.toString("latin1"));
        socket.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
      }),
    ),
  ]);
  const tunnelled = "GET /of-somebody-else HTTP/1.1\r\nhost: a.test\r\n\r\n";
  // The first CONNECT has no route, and an upstream refuses the second one.
  for (const table of [tableOf(), tableOf(route(forwardTo("a"), { forConnect: true }))]) {
    harness.table = table;
    const client = harness.client();
    client.send(`CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n${tunnelled}`);
    assert.match(await client.until(/\r\n\r\n/), /^connection: close\r$/im);
    await client.closed;
    assert.equal(client.received.split("HTTP/1.1 ").length, 2, client.received);
  }
  assert.equal(
    heads.some((head) => head.startsWith("GET")),
    false,
  );
});
