import { derLength, DerReader, derTags, malformedDer } from "../base/der/index.ts";

export { DerReader, derTags, type DerElement } from "../base/der/index.ts";

/** The maximum depth of nested elements. Certificates have about ten levels. */
const maxLevels = 32;
const constructed = 0x20;

/**
 * Checks that the lengths of all elements fit, at every depth. The content of an OCTET STRING is not checked. Throws
 * the user error `bad-der`.
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

export function derSequence(...contents: readonly Uint8Array[]): Buffer {
  return derElement(derTags.sequence, ...contents);
}

/** An object identifier, from the hex of its contents. */
export function derObjectIdentifier(hex: string): Buffer {
  return derElement(derTags.objectIdentifier, Buffer.from(hex, "hex"));
}

/** A BIT STRING. `unusedBits` is how many bits of the last byte have no meaning. */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derElement(derTags.bitString, Buffer.from([unusedBits]), bytes);
}

const utcTimeEndsMs = Date.UTC(2050, 0, 1);

/** A time in whole seconds. A year before 2050 has two digits, and a later one four (RFC 5280, 4.1.2.5). */
export function derTime(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().slice(0, "2026-01-01T00:00:00".length).replaceAll(/[-:T]/g, "")}Z`;
  return ms < utcTimeEndsMs
    ? derElement(derTags.utcTime, Buffer.from(text.slice(2)))
    : derElement(derTags.generalizedTime, Buffer.from(text));
}
