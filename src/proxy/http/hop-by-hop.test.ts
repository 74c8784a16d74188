import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { HttpFilter } from "../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";
import { parseTarget } from "./request-target.ts";

async function upstream(harness: Harness, answer: string, end: RegExp): Promise<{ text: string }> {
  const received = { text: "" };
  const port = await harness.rawBackend((socket: Socket) => {
    let rest = "";
    socket.on("data", (chunk: Buffer) => {
      received.text += chunk.toString("latin1");
      rest += chunk.toString("latin1");
      if (!end.test(rest)) return;
      rest = "";
      socket.write(answer);
    });
  });
  harness.cluster("c", [port]);
  harness.table = tableOf(route(forwardTo("c")));
  return received;
}

const inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

test("a framing field stays although `connection` names it, because otherwise the body would become another request", async () => {
  for (const framed of [
    `connection: content-length\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`,
    `connection: x, Transfer-Encoding\r\ntransfer-encoding: chunked\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
  ]) {
    await using harness = await Harness.start();
    const received = await upstream(harness, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", /smuggled[^]*\r\n\r\n$/);
    const client = harness.client();
    client.send(`POST / HTTP/1.1\r\nhost: a\r\n${framed}`);
    await client.until(/ok$/);
    assert.match(received.text, /^(content-length: \d+|transfer-encoding: chunked)\r$/m, framed.split("\r\n")[0]);
    assert.doesNotMatch(received.text, /^connection:/m);
  }
});

test("a response keeps its content-length, whatever its `connection` field names", async () => {
  await using harness = await Harness.start();
  await upstream(
    harness,
    "HTTP/1.1 200 OK\r\nconnection: content-length, x-hop\r\nx-hop: 1\r\ncontent-length: 2\r\n\r\nok",
    /\r\n\r\n$/,
  );
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  const text = await client.until(/ok$/);
  assert.match(text, /^content-length: 2\r$/m);
  assert.doesNotMatch(text, /x-hop/);
});

test("a client cannot use `connection` to drop a field that a filter set", async () => {
  const setsField: HttpFilter = {
    name: "says",
    onRequest: (request) => {
      request.setHeader("x-user", "joe");
      return undefined;
    },
  };
  await using harness = await Harness.start({ filters: [setsField], filtersIdle: false });
  const received = await upstream(harness, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", /\r\n\r\n$/);
  const client = harness.client();
  client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: X-User, x-hop\r\nx-hop: 1\r\nx-user: admin\r\n\r\n");
  await client.until(/ok$/);
  assert.match(received.text, /^x-user: joe\r$/m);
  assert.doesNotMatch(received.text, /x-hop|admin/);
});

test("a fragment is dropped before the path is evaluated", () => {
  for (const [target, path, query] of [
    ["/a#b", "/a", ""],
    ["/a?q=1#/../admin", "/a", "q=1"],
    ["http://a.test/x#y?z", "/x", ""],
  ] as const) {
    const parsed = parseTarget("GET", target);
    assert.deepEqual([parsed?.path, parsed?.query], [path, query], target);
  }
  for (const target of ["#a", "http://b.test#x", "https://b.test:80#/x?y"])
    assert.equal(parseTarget("GET", target), undefined, target);
  assert.equal(parseTarget("CONNECT", "a.test:80#x"), undefined);
});

test("the authority of an absolute target is checked as strictly as a host", () => {
  assert.equal(parseTarget("GET", "http://a.test:80/x?y")?.authority, "a.test:80");
  assert.equal(parseTarget("GET", "http://[::1]:80?y")?.query, "y");
  for (const target of [
    'http://a"b/',
    "http://a\\b/",
    "http://a,b/",
    "http://user@a/",
    "http:///",
    "http://a<b>/",
    "http://a:99999/",
    "http://a:x/",
    "http://a:1:2/",
  ])
    assert.equal(parseTarget("GET", target), undefined, target);
});
