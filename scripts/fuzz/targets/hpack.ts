import { HpackDecoder } from "../../../src/wire/http2/hpack-decoder.ts";
import { Http2ConnectionError, hpackEncode } from "../../../src/wire/http2/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

const maxListBytes = 4096;

/**
 * Decodes the blocks of one connection. A length byte goes before each block, so that one block's table entries affect
 * the next.
 */
function decodeAll(input: Buffer): void {
  const decoder = new HpackDecoder({ maxTableBytes: 512, maxListBytes });
  for (let at = 0; at < input.length;) {
    const length = input[at] ?? 0;
    const fields = decoder.decode(input, at + 1, Math.min(input.length, at + 1 + length));
    at += 1 + length;
    expect(fields.length % 2 === 0, "names and values come in turn");
    const size = fields.reduce((sum, text) => sum + text.length + 16, 0);
    expect(size <= maxListBytes, "a list stays within its bound");
    const again = new HpackDecoder().decode(hpackEncode(fields));
    expect(
      again.length === fields.length && again.every((text, index) => text === fields[index]),
      "what was decoded is encoded to the same",
    );
  }
}

function block(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

export const target: FuzzTarget = {
  title: "header blocks of HTTP/2 (HPACK)",
  seeds: [
    block(hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"])),
    // RFC 7541, C.4: three requests with Huffman codes.
    Buffer.concat([
      block(Buffer.from("828684418cf1e3c2e5f23a6ba0ab90f4ff", "hex")),
      block(Buffer.from("828684be5886a8eb10649cbf", "hex")),
      block(Buffer.from("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", "hex")),
    ]),
    block(Buffer.from("3fe103200f0d0161", "hex")),
    block(Buffer.from("4003612d620163c0be", "hex")),
  ],
  run: (input) => {
    try {
      decodeAll(input);
    } catch (error) {
      expectRefusal(error, Http2ConnectionError);
    }
  },
};
