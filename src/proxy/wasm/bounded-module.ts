import { userError } from "../../base/index.ts";
import { readUnsigned, writeUnsigned } from "../terms/leb128.ts";

const magic = Buffer.from([0x00, 0x61, 0x73, 0x6d]);
const headerBytes = 8;
const memorySection = 5;
const pageBytes = 65_536;

export function beginsAsModule(bytes: Uint8Array): boolean {
  return magic.equals(bytes.subarray(0, magic.length));
}

/**
 * Rewrites a module so that its memory cannot exceed `maxBytes`, whatever the module declares. The limits of a thread
 * do not cover a module's memory, which is outside of the thread's heap.
 */
export function boundedModule(code: Uint8Array, maxBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = Buffer.from(code);
  if (bytes.length < headerBytes || !beginsAsModule(bytes))
    throw userError("module-invalid", "the file is not a WebAssembly module: it does not begin with \\0asm");
  const parts: Buffer[] = [bytes.subarray(0, headerBytes)];
  for (let at = headerBytes; at < bytes.length;) {
    const id = bytes[at];
    const size = readNumber(bytes, at + 1);
    const end = size.next + size.value;
    if (end > bytes.length) throw userError("module-invalid", "the WebAssembly module is cut off");
    if (id === memorySection)
      parts.push(boundedSection(bytes.subarray(size.next, end), Math.floor(maxBytes / pageBytes)));
    else parts.push(bytes.subarray(at, end));
    at = end;
  }
  return new Uint8Array(Buffer.concat(parts));
}

function boundedSection(content: Buffer, maxPages: number): Buffer {
  const count = readNumber(content, 0);
  if (count.value !== 1)
    throw userError("module-invalid", `the WebAssembly module has ${count.value} memories; one is expected`);
  const flags = content[count.next] ?? 0;
  if (flags > 1)
    throw userError(
      "module-invalid",
      "the WebAssembly module's memory is shared or of 64 bits, which is not supported",
    );
  const minimum = readNumber(content, count.next + 1);
  const declared = flags === 1 ? readNumber(content, minimum.next).value : maxPages;
  if (minimum.value > maxPages)
    throw userError(
      "module-invalid",
      `the WebAssembly module begins with ${minimum.value * pageBytes} bytes of memory; at most ${maxPages * pageBytes} are allowed`,
    );
  const body = Buffer.concat([
    Buffer.from([1, 1]),
    writeUnsigned(minimum.value),
    writeUnsigned(Math.min(declared, maxPages)),
  ]);
  return Buffer.concat([Buffer.from([memorySection]), writeUnsigned(body.length), body]);
}

function readNumber(bytes: Buffer, from: number): { readonly value: number; readonly next: number } {
  const read = readUnsigned(bytes, from);
  if (read === undefined) throw userError("module-invalid", "the WebAssembly module is cut off");
  return read;
}
