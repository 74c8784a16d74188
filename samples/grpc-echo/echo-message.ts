// The one message of echo.proto, and its frame in gRPC's HTTP/2 body.
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

export const sayPath = "/serin.samples.Echo/Say";

const textField = 1;
const frameHeadBytes = 5;

export function encodeEcho(text: string): Buffer {
  return Buffer.from(new BinaryWriter().tag(textField, WireType.LengthDelimited).string(text).finish());
}

export function decodeEcho(bytes: Uint8Array): string {
  const reader = new BinaryReader(bytes);
  let text = "";
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === textField) text = reader.string();
    else reader.skip(wireType);
  }
  return text;
}

/** Puts gRPC's prefix with the length before an uncompressed message. */
export function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Returns the message of a body with exactly one message. Returns undefined for any other body. */
export function unframe(body: Buffer): Buffer | undefined {
  if (body.length < frameHeadBytes || body[0] !== 0 || body.readUInt32BE(1) !== body.length - frameHeadBytes)
    return undefined;
  return body.subarray(frameHeadBytes);
}
