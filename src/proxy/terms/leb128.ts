// LEB128, in which WebAssembly modules have their numbers (WebAssembly Core Specification, section 5.2.2).

/** The most bytes of a number of 32 bits. */
const maxBytes = 5;

/** Reads an unsigned number of 32 bits. Undefined if the bytes end before it, or if it is too long. */
export function readUnsigned(
  bytes: Uint8Array,
  from: number,
): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let index = 0; index < maxBytes; index += 1) {
    const byte = bytes[from + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: from + index + 1 };
  }
  return undefined;
}

export function writeUnsigned(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 0x80))
    if (rest < 0x80) return Uint8Array.from([...bytes, rest]);
    else bytes.push((rest % 0x80) | 0x80);
}
