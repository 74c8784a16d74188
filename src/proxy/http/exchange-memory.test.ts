import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageHead, scanRequestHead } from "../../wire/http1/index.ts";
import type { PathOptions } from "../routing/path.ts";
import { ExchangeMemory, RepeatedTarget, RepeatedText } from "./exchange-memory.ts";
import { readTarget } from "./request-target.ts";

test("a repeated header value is always the text of its own bytes, and in lower case", () => {
  const kept = new RepeatedText();
  const values = [
    "Shop.test",
    "Shop.test",
    "shop.test",
    "Shop.tesu",
    "",
    "\u00e9\u00ff",
    "a".repeat(5000),
    "Shop.test",
  ];
  for (const value of values) {
    const bytes = Buffer.from(`host: ${value}\r\n`, "latin1");
    const read = kept.read(bytes, 6, 6 + value.length);
    assert.equal(read, value);
    assert.equal(kept.lower(read), value.toLowerCase());
    assert.equal(kept.lower(`${value}:80`), `${value}:80`.toLowerCase());
  }
});

test("a repeated target is parsed once, and always by its own method and its listener's path options", () => {
  const kept = new RepeatedTarget();
  const plain: PathOptions = { normalize: false, mergeSlashes: false, escapedSlashes: "keep" };
  const strict: PathOptions = { normalize: true, mergeSlashes: true, escapedSlashes: "reject" };
  const targets = [
    "/a?b=c",
    "/a?b=c",
    "//a/./b",
    "/a%2fb",
    "http://a.test/x#y",
    "*",
    "a.test:443",
    "",
    `/${"a".repeat(300)}`,
  ];
  for (const target of [...targets, ...targets]) {
    const bytes = Buffer.from(target, "latin1");
    const text = kept.text(bytes, 0, bytes.length);
    assert.equal(text, target);
    for (const options of [plain, strict, plain])
      for (const method of ["GET", "OPTIONS", "CONNECT", "GET"])
        assert.deepEqual(kept.read(method, text, options), readTarget(method, target, options), `${method} ${target}`);
    if (target.length < 256) assert.equal(kept.read("GET", text, plain), kept.read("GET", text, plain));
  }
});

test("a head that waits for the next request holds none of the last one's bytes", () => {
  const memory = new ExchangeMemory();
  const head = new MessageHead();
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(50_000)}\r\n\r\n`);
  scanRequestHead(head, bytes, 0, bytes.length);
  memory.giveHead(head);
  assert.equal(memory.takeHead(), head);
  assert.equal(head.bytes.length, 0);
});
