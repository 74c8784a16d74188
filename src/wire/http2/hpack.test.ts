import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Http2ConnectionError, errorCode } from "./constants.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HeaderBlock, hpackEncode } from "./hpack-encoder.ts";
import { huffmanDecode, huffmanEncode, huffmanLength } from "./huffman.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

test("the requests of RFC 7541 C.3 and C.4 decode, with and without Huffman, through one dynamic table", () => {
  const plain = [
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
  ];
  const huffman = [
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
  ];
  const expected = [
    [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"],
    [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com", "cache-control", "no-cache"],
    [
      ":method",
      "GET",
      ":scheme",
      "https",
      ":path",
      "/index.html",
      ":authority",
      "www.example.com",
      "custom-key",
      "custom-value",
    ],
  ];
  for (const blocks of [plain, huffman]) {
    const decoder = new HpackDecoder();
    assert.deepEqual(
      blocks.map((block) => decoder.decode(hex(block))),
      expected,
    );
  }
});

test("the responses of RFC 7541 C.6 decode while a table of 256 bytes evicts", () => {
  const decoder = new HpackDecoder({ maxTableBytes: 256 });
  const blocks = [
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
  ];
  const [first, second, third] = blocks.map((block) => decoder.decode(hex(block)));
  assert.equal(first?.[1], "302");
  assert.deepEqual(second?.slice(0, 4), [":status", "307", "cache-control", "private"]);
  assert.deepEqual(third?.slice(-2), ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"]);
});

test("a header block in used memory decodes to its fields, with names of any case in lower case", () => {
  const block = new HeaderBlock();
  const name = fc.oneof(fc.constantFrom("Content-Type", "x-request-id", ":status"), fc.string({ maxLength: 90 }));
  const pairs = fc.array(fc.tuple(name, fc.string({ maxLength: 3000 })), { maxLength: 12 });
  fc.assert(
    fc.property(pairs, (fields) => {
      block.begin();
      for (const [index, [text, value]] of fields.entries()) {
        const bytes = Buffer.from(`${text}${value}`, "latin1");
        if (index % 3 === 0) block.field(text.toLowerCase(), value);
        else if (index % 3 === 1) block.valueOf(text.toLowerCase(), bytes, text.length, bytes.length);
        else block.fieldOf(bytes, 0, text.length, text.length, bytes.length);
      }
      const expected = fields.flatMap(([text, value]) => [text.toLowerCase(), value]);
      assert.deepEqual(new HpackDecoder().decode(block.view()), expected);
    }),
    { numRuns: 200 },
  );
});

test("every encoded list decodes to itself", () => {
  const latin1 = fc.string({
    unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 300,
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(latin1, latin1), { maxLength: 12 }), fc.boolean(), (pairs, huffman) => {
      const fields = pairs.flat();
      assert.deepEqual(new HpackDecoder().decode(hpackEncode(fields, { huffman })), fields);
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(latin1, (text) => {
      const target = Buffer.alloc(huffmanLength(text));
      assert.equal(huffmanEncode(text, target, 0), target.length);
      assert.equal(huffmanDecode(target, 0, target.length), text);
    }),
    { numRuns: 200 },
  );
});

test("random bytes are decoded or refused as a connection error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        new HpackDecoder().decode(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof Http2ConnectionError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("unbounded input is refused", () => {
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return error instanceof Http2ConnectionError ? error.code : error;
    }
    return undefined;
  };
  assert.equal(
    code(() => new HpackDecoder({ maxListBytes: 100 }).decode(hpackEncode(["x", "y".repeat(100)]))),
    errorCode.enhanceYourCalm,
  );
  assert.equal(
    code(() => new HpackDecoder().decode(hex("3fffffff0f"))),
    errorCode.compressionError,
  );
  assert.equal(
    code(() => new HpackDecoder().decode(hex("ffffffffffff7f"))),
    errorCode.compressionError,
  );
  // Padding of more than 7 bits, and EOS inside a string.
  assert.equal(
    code(() => huffmanDecode(hex("ffff"), 0, 2)),
    errorCode.compressionError,
  );
  assert.equal(
    code(() => huffmanDecode(hex("fffffffc"), 0, 4)),
    errorCode.compressionError,
  );
});
