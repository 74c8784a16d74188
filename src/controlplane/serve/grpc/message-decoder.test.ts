import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { SerinError } from "../../../base/index.ts";
import { MessageDecoder } from "./message-decoder.ts";

const maxBytes = 1000;

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function decoded(chunks: readonly Buffer[]): readonly string[] {
  const found: string[] = [];
  const decoder = new MessageDecoder(maxBytes);
  for (const chunk of chunks) decoder.push(chunk, (bytes) => found.push(bytes.toString()));
  return found;
}

test("messages come out whole, however their bytes are split", () => {
  const messages = ["one", "", "x".repeat(700), "four"];
  const bytes = Buffer.concat(messages.map((text) => framed(Buffer.from(text))));
  for (let size = 1; size <= bytes.length; size += 1) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.deepEqual(decoded(chunks), messages, `in pieces of ${size}`);
  }
});

test("a message that declares an excessive length is refused before its bytes arrive", () => {
  const prefix = Buffer.from([0, 0, 0, 4, 0]);
  assert.throws(() => decoded([prefix]), { code: "request-too-long" });
  assert.throws(() => decoded([prefix.subarray(0, 2), prefix.subarray(2)]), { code: "request-too-long" });
});

test("a compressed message on a stream that did not declare compression is refused", () => {
  assert.throws(() => decoded([Buffer.from([1, 0, 0, 0, 0])]), { code: "bad-request" });
});

test("received parts of a message are copied, because tiny frames would otherwise retain their buffers", () => {
  const bytes = framed(Buffer.from("x".repeat(700)));
  const found: string[] = [];
  const decoder = new MessageDecoder(maxBytes);
  // Each piece is in the same memory, which the decoder must not keep.
  const piece = Buffer.alloc(1);
  for (const byte of bytes) {
    piece[0] = byte;
    decoder.push(piece, (message) => found.push(message.toString()));
  }
  assert.deepEqual(found, ["x".repeat(700)]);
});

function expected(bytes: Buffer): { readonly messages: readonly string[]; readonly fault: string | undefined } {
  const messages: string[] = [];
  for (let at = 0; bytes.length - at >= 5;) {
    const length = bytes.readUInt32BE(at + 1);
    if (bytes[at] !== 0) return { messages, fault: "bad-request" };
    if (length > maxBytes) return { messages, fault: "request-too-long" };
    if (at + 5 + length > bytes.length) break;
    messages.push(bytes.toString("latin1", at + 5, at + 5 + length));
    at += 5 + length;
  }
  return { messages, fault: undefined };
}

const stream = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => framed(Buffer.from(bytes))) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)) },
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.concat(parts));

/**
 * Inputs on which a decoder has failed or might fail: a prefix or message that ends with a piece of input, and faults
 * in the second message.
 */
const corpus: readonly [string, readonly number[]][] = [
  ["000000000061", [5]],
  ["0000000001610000000001", [1, 4, 6]],
  ["00000000016101000000", [6]],
  ["00000000016100ffffffff", [10]],
  ["0000000000000000000000", [3, 5, 7]],
  ["00000000", []],
];

test("arbitrary bytes give the same messages and the same fault, however they are split", () => {
  const check = (bytes: Buffer, cuts: readonly number[]): void => {
    const ends = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((left, right) => left - right);
    const messages: string[] = [];
    let fault: string | undefined;
    const decoder = new MessageDecoder(maxBytes);
    try {
      let from = 0;
      for (const to of [...ends, bytes.length]) {
        decoder.push(bytes.subarray(from, to), (message) => messages.push(message.toString("latin1")));
        from = to;
      }
    } catch (error) {
      assert.ok(error instanceof SerinError && error.kind === "user", String(error));
      fault = error.code;
    }
    assert.deepEqual({ messages, fault }, expected(bytes));
  };
  for (const [hex, cuts] of corpus) check(Buffer.from(hex, "hex"), cuts);
  fc.assert(fc.property(stream, fc.array(fc.nat(200), { maxLength: 8 }), check), { numRuns: 500 });
});
