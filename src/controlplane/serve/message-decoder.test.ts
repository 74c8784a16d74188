import assert from "node:assert/strict";
import { test } from "node:test";
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

test("messages come out whole, however their bytes are cut", () => {
  const messages = ["one", "", "x".repeat(700), "four"];
  const bytes = Buffer.concat(messages.map((text) => framed(Buffer.from(text))));
  for (let size = 1; size <= bytes.length; size += 1) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.deepEqual(decoded(chunks), messages, `in pieces of ${size}`);
  }
});

test("a message that says it is longer than allowed is refused before its bytes have come", () => {
  const prefix = Buffer.from([0, 0, 0, 4, 0]);
  assert.throws(() => decoded([prefix]), { code: "request-too-long" });
  assert.throws(() => decoded([prefix.subarray(0, 2), prefix.subarray(2)]), { code: "request-too-long" });
});

test("a compressed message of a stream that did not say so is refused", () => {
  assert.throws(() => decoded([Buffer.from([1, 0, 0, 0, 0])]), { code: "compressed" });
});
