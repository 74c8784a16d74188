import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageHead, scanResponseHead } from "../../../wire/http1/index.ts";
import { responseBlock } from "../../http2/http2-heads.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { composeResponseBlock } from "./compose-response-block.ts";
import { composeResponse, type ResponseComposition } from "./compose-response.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";

const heads = [
  "HTTP/1.1 200 OK\r\n\r\n",
  "HTTP/1.0 404 Not here\r\nContent-Length: 3\r\nDate: then\r\nServer: own\r\nSet-Cookie: a=1\r\nset-cookie:  b=2 \r\n\r\n",
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nX-Kept: \xe9\r\n\r\n",
  "HTTP/1.1 426 Upgrade Required\r\nupgrade: h2c\r\nx-request-id: theirs\r\nx-envoy-upstream-service-time: 9\r\nx-envoy-decorator-operation: o\r\n\r\n",
];

function compositions(): ResponseComposition[] {
  return heads.flatMap((text) =>
    (["overwrite", "append-if-absent", "pass-through"] as const).flatMap((serverHeader) =>
      [undefined, "an-id"].map((requestId) => {
        const head = new MessageHead();
        const bytes = Buffer.from(text, "latin1");
        assert.ok(scanResponseHead(head, bytes, 0, bytes.length) > 0);
        const peerMetadata = { readFromUpstream: false };
        return {
          head,
          config: { serverName: "istio-envoy", serverHeader, peerMetadata } as HttpConnectionConfig,
          delivery: "as-is",
          connection: undefined,
          upstreamServiceMs: requestId === undefined ? -1 : 12,
          requestId,
          peerMetadata: undefined,
          edits: undefined,
          date: "now",
        };
      }),
    ),
  );
}

test("the header block of a response has the fields of its text, in the same order", () => {
  for (const composition of compositions()) {
    const text = new ByteBuilder(64);
    composeResponse(text, composition);
    const composed = new MessageHead();
    assert.ok(scanResponseHead(composed, text.buffer, 0, text.length) > 0);
    const expected = Buffer.from(responseBlock(composed));
    assert.deepEqual(composeResponseBlock(composition), expected, text.view().toString("latin1"));
  }
});

test("a head with configured fields is composed as text, because only the text's scan finds invalid fields", () => {
  const [composition] = compositions();
  assert.ok(composition !== undefined);
  const edits = { dropped: new Set<string>(), added: [["x", "a\r\nb"]] as const };
  assert.equal(composeResponseBlock({ ...composition, edits }), undefined);
  const config = { ...composition.config, serverName: "a\r\nb" };
  assert.equal(composeResponseBlock({ ...composition, config }), undefined);
});

test("a response has the version HTTP/1.1 and otherwise the status line of its upstream", () => {
  for (const [version, fields] of [
    ["1.0", ""],
    ["1.1", ""],
    ["1.0", "connection: close\r\nx-a: 1\r\n"],
    ["1.1", "connection: close\r\nx-a: 1\r\n"],
  ]) {
    const bytes = Buffer.from(`before HTTP/${version} 404 Not  here\r\n${fields}\r\n`, "latin1");
    const head = new MessageHead();
    assert.ok(scanResponseHead(head, bytes, "before ".length, bytes.length) > 0);
    const [composition] = compositions();
    assert.ok(composition !== undefined);
    const text = new ByteBuilder(64);
    composeResponse(text, { ...composition, head });
    const kept = fields === "" ? "" : "x-a: 1\r\n";
    const expected = `HTTP/1.1 404 Not  here\r\n${kept}date: now\r\nserver: istio-envoy\r\n\r\n`;
    assert.equal(text.view().toString("latin1"), expected);
  }
});
