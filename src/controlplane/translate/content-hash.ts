/**
 * A 64-bit hash of bytes as 16 hexadecimal digits, for versions. Equal content has an equal version in every process
 * and after every restart. Consists of two independent 32-bit mixes. Not for security.
 */
export function contentHash(bytes: Uint8Array): string {
  let first = 0xdeadbeef;
  let second = 0x41c6ce57;
  for (const byte of bytes) {
    first = Math.imul(first ^ byte, 2_654_435_761);
    second = Math.imul(second ^ byte, 1_597_334_677);
  }
  first = Math.imul(first ^ (first >>> 16), 2_246_822_507) ^ Math.imul(second ^ (second >>> 13), 3_266_489_909);
  second = Math.imul(second ^ (second >>> 16), 2_246_822_507) ^ Math.imul(first ^ (first >>> 13), 3_266_489_909);
  return hex(second) + hex(first);
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, "0");
}
