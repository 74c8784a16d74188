import assert from "node:assert/strict";
import { test } from "node:test";
import { plainRecord } from "../testing/plain-record.ts";
import { downstreamTags, maxCustomLength, operationOf, upstreamTags, type CustomSpanTag } from "./span-tags.ts";

const capture = { request: new Map(), response: new Map() };
const tag = (name: string, valueOf: () => string): CustomSpanTag => ({
  name,
  valueOf,
  requestCapture: [],
  responseCapture: [],
});

test("values that a client chooses are cut, because spans wait in memory", () => {
  const long = "v".repeat(60_000);
  let computed = 0;
  const customTags = ["first", "second", "third", "fourth"].map((name) =>
    tag(name, () => {
      computed += 1;
      return name === "first" ? "short" : long.slice(0, 20_000);
    }),
  );
  const record = { ...plainRecord, isGrpc: true, userAgent: long, authority: long, pathAndQuery: `/${long}` };
  const node = { id: "node", zone: "zone", service: "web" };
  const context = { record, capture, customTags, node } as unknown as Parameters<typeof downstreamTags>[0];
  const upstream = upstreamTags(context);
  assert.equal(upstream.get("first"), "short");
  assert.equal(upstream.get("second")?.length, 20_000);
  assert.equal(upstream.get("third")?.length, maxCustomLength - 20_005);
  assert.equal(upstream.has("fourth"), false);
  assert.equal(computed, 3);
  const tags = downstreamTags(context, 256);
  assert.deepEqual(
    ["user_agent", "grpc.path", "grpc.authority"].map((name) => tags.get(name)?.length),
    [4096, 4096, 4096],
  );
  assert.equal(tags.get("http.url")?.length, "http://".length + 4096 + 256);
  const given = { operationGiven: long };
  assert.equal(operationOf(record, given, "ingress").length, 4096);
  assert.equal(operationOf(record, given, "egress").length, "egress ".length + 4096);
});
