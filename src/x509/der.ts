import { derLength, DerReader, derTags, malformedDer } from "../base/der/index.ts";

export { DerReader, derTags, type DerElement } from "../base/der/index.ts";

/** The maximum depth of nested elements. Certificates have about ten levels. */
const maxLevels = 32;
const constructed = 0x20;

/**
 * Checks the lengths of all elements, including nested ones, but not the content of an OCTET STRING. Throws the user
 * error `bad-der`.
 */
export function checkDer(bytes: Buffer, levels = maxLevels): void {
  if (levels === 0) throw malformedDer(`more than ${maxLevels} levels`);
  for (const reader = new DerReader(bytes); !reader.isAtEnd;) {
    const { tag, contents } = reader.next();
    if ((tag & constructed) !== 0) checkDer(contents, levels - 1);
  }
}

export function derElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...derLength(length)]), ...contents]);
}

/** A SEQUENCE of encoded elements. */
export function derSequence(...contents: readonly Uint8Array[]): Buffer {
  return derElement(derTags.sequence, ...contents);
}

/** Encodes an object identifier, given the hex of its contents. */
export function derObjectIdentifier(hex: string): Buffer {
  return derElement(derTags.objectIdentifier, Buffer.from(hex, "hex"));
}

/** A BIT STRING. `unusedBits` is the number of bits without a meaning in the last byte. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derElement(derTags.bitString, Buffer.from([unusedBits]), bytes);
}

const utcTimeEndsMs = Date.UTC(2050, 0, 1);

/** Encodes a time in whole seconds. Years until 2049 have two digits, later ones four (RFC 5280, 4.1.2.5). */
export function derTime(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, "2026-01-01T00:00:00".length).replaceAll(/[-:T]/g, "")}Z`;
  return ms < utcTimeEndsMs
    ? derElement(derTags.utcTime, Buffer.from(text.slice(2)))
    : derElement(derTags.generalizedTime, Buffer.from(text));
}
