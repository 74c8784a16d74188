import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { MessageHead } from "./message-head.ts";
import { headIncomplete, headRefused, scanRequestHead, scanResponseHead } from "./scan-head.ts";

const crlf = (text: string): Buffer => Buffer.from(text.replaceAll("\n", "\r\n"), "latin1");
const scan = (text: Buffer, head = new MessageHead()): number => scanRequestHead(head, text, 0, text.length);

test("a request's parts are found at their positions", () => {
  const bytes = crlf(
    "\nGET /a/b?c=d HTTP/1.1\nHost: Example.com:80\nX-Empty:\nCONTENT-length: \t 12 \t\nConnection: keep-alive, Upgrade\nX-A: 1\nx-a: 2\n\nrest",
  );
  const head = new MessageHead();
  const end = scan(bytes, head);
  assert.equal(bytes.toString("latin1", end), "rest");
  assert.deepEqual([head.method(), head.target(), head.minorVersion], ["GET", "/a/b?c=d", 1]);
  assert.equal(head.contentLength, 12);
  assert.deepEqual(
    [head.connectionKeepAlive, head.connectionUpgrade, head.connectionClose, head.connectionNominates],
    [true, true, false, false],
  );
  assert.deepEqual(
    [head.get("host"), head.get("x-empty"), head.get("x-a"), head.get("x-none")],
    ["Example.com:80", "", "1,2", undefined],
  );
});

const refused: readonly (readonly [name: string, text: string, status: number])[] = [
  ["no method", " / HTTP/1.1\nHost: a\n\n", 400],
  ["two spaces before the target", "GET  / HTTP/1.1\nHost: a\n\n", 400],
  ["a space in the target", "GET /a b HTTP/1.1\nHost: a\n\n", 400],
  ["no version", "GET /\nHost: a\n\n", 400],
  ["HTTP/2.0 in text", "GET / HTTP/2.0\nHost: a\n\n", 505],
  ["HTTP/1.2", "GET / HTTP/1.2\nHost: a\n\n", 505],
  ["lower-case version", "GET / http/1.1\nHost: a\n\n", 400],
  ["space after the version", "GET / HTTP/1.1 \nHost: a\n\n", 400],
  ["no host", "GET / HTTP/1.1\nA: b\n\n", 400],
  ["two hosts", "GET / HTTP/1.1\nHost: a\nHost: a\n\n", 400],
  ["a list of hosts", "GET / HTTP/1.1\nHost: a, b\n\n", 400],
  ["a path in host", "GET / HTTP/1.1\nHost: a/b\n\n", 400],
  ["user information in host", "GET / HTTP/1.1\nHost: u@a\n\n", 400],
  ["folded line", "GET / HTTP/1.1\nHost: a\nX: 1\n 2\n\n", 400],
  ["space before the first field", "GET / HTTP/1.1\n Host: a\n\n", 400],
  ["space before a colon", "POST / HTTP/1.1\nHost: a\nContent-Length : 3\n\nabc", 400],
  ["tab in a name", "GET / HTTP/1.1\nHost: a\nX\tY: 3\n\n", 400],
  ["empty name", "GET / HTTP/1.1\nHost: a\n: 3\n\n", 400],
  ["line without a colon", "GET / HTTP/1.1\nHost: a\nabc\n\n", 400],
  ["NUL in a value", "GET / HTTP/1.1\nHost: a\nX: a\0b\n\n", 400],
  ["two lengths that differ", "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 4\n\nabcd", 400],
  ["two lengths that agree", "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3\n\nabc", 400],
  ["a list of lengths", "POST / HTTP/1.1\nHost: a\nContent-Length: 3, 3\n\nabc", 400],
  ["signed length", "POST / HTTP/1.1\nHost: a\nContent-Length: +3\n\nabc", 400],
  ["hexadecimal length", "POST / HTTP/1.1\nHost: a\nContent-Length: 0x3\n\nabc", 400],
  ["empty length", "POST / HTTP/1.1\nHost: a\nContent-Length:\n\n", 400],
  ["a length beyond exact numbers", "POST / HTTP/1.1\nHost: a\nContent-Length: 99999999999999999999\n\n", 400],
  ["length and chunked", "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n", 400],
  ["chunked and length", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n", 400],
  ["chunked twice", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n", 400],
  ["chunked not alone", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked\n\n0\n\n", 501],
  ["chunked with a vertical tab", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: \x0bchunked\n\n0\n\n", 400],
  ["chunked misspelt", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: xchunked\n\n0\n\n", 501],
  ["identity", "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: identity\n\n", 501],
  ["chunked in HTTP/1.0", "POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n", 400],
];

for (const [name, text, status] of refused) {
  test(`a request is refused: ${name}`, () => {
    const head = new MessageHead();
    assert.equal(scan(crlf(text), head), headRefused);
    assert.equal(head.error?.status, status, head.error?.reason);
  });
}

test("bare LF and bare CR are refused anywhere", () => {
  const head = "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n";
  for (let at = head.indexOf("\r\n"); at >= 0; at = head.indexOf("\r\n", at + 1)) {
    const withoutCr = Buffer.from(`${head.slice(0, at)}${head.slice(at + 1)}xxxx`);
    const withoutLf = Buffer.from(`${head.slice(0, at + 1)}${head.slice(at + 2)}xxxx`);
    assert.equal(scan(withoutCr), headRefused, JSON.stringify(withoutCr.toString()));
    assert.equal(scan(withoutLf), headRefused, JSON.stringify(withoutLf.toString()));
  }
});

test("too many fields and oversized heads are refused with 431, even before they end", () => {
  const head = new MessageHead();
  assert.equal(scan(Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${"X: y\r\n".repeat(100)}\r\n`), head), headRefused);
  assert.equal(head.error?.status, 431);
  assert.equal(scan(Buffer.from(`GET /${"a".repeat(61 * 1024)}`), head), headRefused);
  assert.equal(head.error?.status, 431);
});

const token = fc.string({ unit: fc.constantFrom(..."abcXYZ019-_!~".split("")), minLength: 1, maxLength: 12 });
const value = fc
  .string({ unit: fc.constantFrom(...'ab \t"=;,\xe9/'.split("")), maxLength: 12 })
  .map((text) => text.trim());
const fields = fc.array(
  fc.tuple(
    token.map((name) => `f${name}`),
    value,
  ),
  { maxLength: 8 },
);

test("a split head is incomplete until its last byte, and then equals the whole one", () => {
  fc.assert(
    fc.property(token, fields, (method, list) => {
      const bytes = Buffer.from(
        `${method} /p HTTP/1.1\r\nhost: a\r\n${list.map(([name, text]) => `${name}:${text}\r\n`).join("")}\r\n`,
        "latin1",
      );
      const head = new MessageHead();
      for (let end = 0; end < bytes.length; end += 1) {
        // The scan must not read bytes after the end.
        const part = Buffer.concat([bytes.subarray(0, end), Buffer.alloc(8, 10)]);
        assert.equal(
          scanRequestHead(head, part, 0, end),
          headIncomplete,
          `at ${end} of ${JSON.stringify(bytes.toString("latin1"))}`,
        );
      }
      assert.equal(scan(bytes, head), bytes.length);
      assert.equal(head.fieldCount, list.length + 1);
      for (const [index, [name, text]] of list.entries())
        assert.deepEqual([head.name(index + 1), head.value(index + 1)], [name, text]);
    }),
    { numRuns: 60 },
  );
});

test("no bytes make the scanner throw or read past the end", () => {
  const pieces = fc.constantFrom(
    "GET ",
    "/ ",
    "HTTP/1.1",
    "\r\n",
    "\n",
    "\r",
    ": ",
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "chunked",
    "1",
    " ",
    "\0",
    "HTTP/1.1 200 OK",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 24 }), (list) => {
      const bytes = Buffer.from(list.join(""));
      for (const scanHead of [scanRequestHead, scanResponseHead]) {
        const head = new MessageHead();
        const result = scanHead(head, bytes, 0, bytes.length);
        assert.ok(result === headIncomplete || result === headRefused || (result > 0 && result <= bytes.length));
        assert.equal(result === headRefused, head.error !== undefined);
      }
    }),
    { numRuns: 400 },
  );
});

test("responses are parsed with status and optional reason, and malformed ones refused", () => {
  const head = new MessageHead();
  const scanText = (text: string): number => scanResponseHead(head, crlf(text), 0, crlf(text).length);
  assert.ok(scanText("HTTP/1.1 204 No Content\n\n") > 0);
  assert.deepEqual([head.status, head.minorVersion], [204, 1]);
  assert.ok(scanText("HTTP/1.0 200\nContent-Length: 0\n\n") > 0);
  for (const text of [
    "HTTP/1.1 20 OK\n\n",
    "HTTP/1.1 099 No\n\n",
    "HTTP/1.1 2000 OK\n\n",
    "ICY 200 OK\n\n",
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 2\n\n",
  ]) {
    assert.equal(scanText(text), headRefused, text);
  }
});

test("a field is found by its name, whatever the lengths of the names are", () => {
  const head = new MessageHead();
  for (let length = 1; length <= 100; length += 1) {
    const name = "x".repeat(length);
    assert.ok(scan(crlf(`GET / HTTP/1.1\nhost: a\n${name}: 1\n\n`), head) > 0);
    assert.deepEqual([head.find(name), head.get(name), head.find("host")], [1, "1", 0]);
    for (const other of [`${name}x`, `${name}${"x".repeat(32)}`, "y".repeat(length), "y".repeat(length + 1)])
      assert.equal(head.find(other), -1);
  }
  assert.ok(scan(crlf("GET / HTTP/1.1\nhost: a\n\n"), head) > 0);
  assert.equal(head.find("x".repeat(100)), -1);
});

test("a reused head finds and reads the fields of its present bytes, whatever was read before", () => {
  const names = ["x-role", "x-rule", "accept", "host"];
  const line = fc.tuple(fc.constantFrom("X-Role", "x-role", "x-rule", "accept"), fc.constantFrom("a", "b", ""));
  const reads = fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(3)), { maxLength: 12 });
  const reused = new MessageHead();
  fc.assert(
    fc.property(fc.array(line, { maxLength: 6 }), reads, (lines, asked) => {
      const fields = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const bytes = Buffer.from(`GET / HTTP/1.1\r\nhost: h\r\n${fields}\r\n`);
      assert.equal(scanRequestHead(reused, bytes, 0, bytes.length), bytes.length);
      for (const [name, from] of asked) {
        const all: readonly (readonly [string, string])[] = [["host", "h"], ...lines];
        const wanted = all.findIndex(([other], index) => index >= from && other.toLowerCase() === name);
        assert.equal(reused.find(name, from), wanted);
        if (wanted >= 0) assert.equal(reused.value(wanted), all[wanted]?.[1]);
      }
    }),
  );
});
