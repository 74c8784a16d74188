import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import * as fc from "fast-check";
import { parseClientHello, type ClientHello } from "./client-hello.ts";
import { detectHttp } from "./http-preface.ts";
import { parseProxyHeader } from "./proxy-protocol.ts";

function sized(bytes: number, ...parts: readonly (Uint8Array | readonly number[])[]): Buffer {
  const contents = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(contents.length, 0, bytes);
  return Buffer.concat([length, contents]);
}

const extension = (type: number, ...parts: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from([0, type]), sized(2, ...parts)]);
const names = (...list: readonly string[]): Buffer =>
  extension(
    0,
    sized(2, ...list.map((name) => Buffer.concat([Buffer.from([0]), sized(2, Buffer.from(name, "latin1"))]))),
  );
const protocols = (...list: readonly string[]): Buffer =>
  extension(16, sized(2, ...list.map((name) => sized(1, Buffer.from(name, "latin1")))));

function hello(extensions: readonly Uint8Array[], recordBytes = 16_384): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    sized(1),
    sized(2, [0x13, 0x01]),
    sized(1, [0]),
    sized(2, ...extensions),
  ]);
  const message = Buffer.concat([Buffer.from([1]), sized(3, body)]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes)
    records.push(Buffer.from([22, 3, 1]), sized(2, message.subarray(at, at + recordBytes)));
  return Buffer.concat(records);
}

/** Inputs that our parser or another one once misread. None of them may admit a client. */
const refusedHellos: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["two extensions with a name", hello([names("a.test"), names("b.test")])],
  ["two lists of protocols", hello([protocols("h2"), protocols("http/1.1")])],
  ["two names in one extension", hello([names("a.test", "b.test")])],
  ["an empty name", hello([names("")])],
  ["a name with a zero byte", hello([names("a.test\0.b.test")])],
  ["a name that is too long", hello([names("a".repeat(256))])],
  ["a name that is longer than its extension", hello([extension(0, Buffer.from([0, 9, 0, 0, 20, 97]))])],
  ["a protocol that is longer than its list", hello([extension(16, Buffer.from([0, 3, 9, 104, 50]))])],
];

test("an ambiguous ClientHello is not treated as TLS", () => {
  for (const [title, bytes] of refusedHellos) assert.equal(parseClientHello(bytes).kind, "not-tls", title);
  assert.deepEqual(parseClientHello(hello([names("a".repeat(255))])), {
    kind: "tls",
    serverName: "a".repeat(255),
    alpnProtocols: [],
  });
});

/** A decision about the first bytes must not change when more bytes arrive. */
function assertSettles<Found extends { readonly kind: string }>(parse: (bytes: Buffer) => Found, bytes: Buffer): void {
  const parsed = parse(bytes);
  let settled: Found | undefined;
  for (let length = 0; length <= bytes.length; length += 1 + (length >> 6)) {
    const found = parse(bytes.subarray(0, length));
    if (found.kind === "incomplete") assert.equal(settled, undefined, `${length} bytes are incomplete again`);
    else if (settled === undefined) settled = found;
    else assert.deepEqual(found, settled, `${length} bytes`);
  }
  if (settled !== undefined) assert.deepEqual(parsed, settled);
}

const host = fc.stringMatching(/^[a-z0-9.-]{1,40}$/);
const mutations = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 });

function mutated(bytes: Buffer, changes: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
  return copy;
}

test("name and protocols of any ClientHello are read across any records; mutated ones cause no read beyond the input", () => {
  fc.assert(
    fc.property(
      host,
      fc.array(fc.stringMatching(/^[a-z0-9/.]{1,12}$/), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 400 }),
      mutations,
      (name, offered, recordBytes, changes) => {
        const bytes = hello([protocols(...offered), names(name)], recordBytes);
        assert.deepEqual(parseClientHello(bytes), {
          kind: "tls",
          serverName: name,
          alpnProtocols: offered,
        } satisfies ClientHello);
        assertSettles(parseClientHello, bytes);
        const found = parseClientHello(mutated(bytes, changes));
        if (found.kind === "tls") assert.ok(found.serverName.length <= 255 && !found.serverName.includes("\0"));
      },
    ),
    { numRuns: 300 },
  );
});

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const text = fc
  .tuple(fc.constantFrom("TCP4", "TCP6", "UNKNOWN", "TCP5"), fc.ipV4(), fc.ipV6(), fc.nat(70_000), fc.nat(70_000))
  .map(([family, v4, v6, from, to]) => {
    const address = family === "TCP6" ? v6 : v4;
    return Buffer.from(`PROXY ${family} ${address} ${address} ${from} ${to}\r\n`);
  });
const binary = fc
  .tuple(
    fc.constantFrom(0x20, 0x21, 0x22, 0x31),
    fc.constantFrom(0x00, 0x11, 0x12, 0x21, 0x31),
    fc.uint8Array({ maxLength: 60 }),
  )
  .map(([command, family, contents]) => Buffer.concat([signature, Buffer.from([command, family]), sized(2, contents)]));

/** Headers with an invalid address, parts of which were once accepted. */
const keptHeaders: readonly (readonly [header: string, kind: string])[] = [
  ["PROXY TCP4 1.1.1.1\nx-admin:yes 198.51.100.1 4711 80\r\n", "bad"],
  ["PROXY TCP6 fe80::1%\nx:y ::1 1 2\r\n", "bad"],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n", "bad"],
  ["PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "bad"],
  [`PROXY TCP4 ${"1".repeat(200)}`, "bad"],
  ["PROXY", "incomplete"],
  ["PROXYTCP4 ", "none"],
];

test("headers that were misclassified once keep their correct kind", () => {
  for (const [header, kind] of keptHeaders)
    assert.equal(parseProxyHeader(Buffer.from(header, "latin1")).kind, kind, JSON.stringify(header));
});

test("a PROXY header, whole, cut or changed, yields addresses and ports or nothing, and consumes no byte beyond its length", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        binary,
        fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      ),
      fc.uint8Array({ maxLength: 20 }),
      mutations,
      (header, rest, changes) => {
        for (const bytes of [header, Buffer.concat([header, rest]), mutated(Buffer.concat([header, rest]), changes)]) {
          assertSettles(parseProxyHeader, bytes);
          const found = parseProxyHeader(bytes);
          if (found.kind !== "header") continue;
          assert.ok(found.length <= bytes.length);
          for (const end of [found.remote, found.local]) {
            if (end !== undefined)
              assert.ok(
                isIP(end.address) !== 0 && !end.address.includes("%") && end.port >= 0 && end.port <= 0xffff,
                JSON.stringify(end),
              );
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("a detected HTTP version does not change with further bytes", () => {
  const line = fc
    .tuple(
      fc.constantFrom("GET", "POST", "PRI", "BREW", "CONNECT"),
      fc.string({ maxLength: 20 }),
      fc.constantFrom("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "x"),
    )
    .map((parts) => Buffer.from(`${parts.join(" ")}\r\n\r\nSM\r\n\r\n`));
  fc.assert(
    fc.property(
      fc.oneof(
        line,
        fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      ),
      mutations,
      (bytes, changes) => assertSettles((part) => ({ kind: detectHttp(part) }), mutated(bytes, changes)),
    ),
    { numRuns: 500 },
  );
});
