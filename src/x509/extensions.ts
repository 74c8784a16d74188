import { createHash, type KeyObject } from "node:crypto";
import { derBitString, derElement, derObjectIdentifier, DerReader, derSequence, derTags } from "./der.ts";
import { alternativeName, type AlternativeName } from "./names.ts";

/**
 * The extensions that this part makes and reads (RFC 5280, 4.2), as the hex of the contents of their object
 * identifiers.
 */
export const extensionIds = {
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  authorityKeyIdentifier: "551d23",
  extendedKeyUsage: "551d25",
} as const;

const serverAuth = "2b06010505070301";
const clientAuth = "2b06010505070302";
const truth = derElement(derTags.boolean, Buffer.from([0xff]));
const keyIdentifierTag = 0x80;
const keyIdentifierBytes = 20;

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return derSequence(derObjectIdentifier(id), ...(critical ? [truth] : []), derElement(derTags.octetString, value));
}

/** The positions of the bits of KeyUsage (RFC 5280, 4.2.1.3). */
const keyUses = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, crlSign: 6 } as const;

/** The critical extension that limits the use of the key (RFC 5280, 4.2.1.3). At least one use is required. */
export function keyUsage(...uses: readonly (keyof typeof keyUses)[]): Buffer {
  const bits = uses.map((use) => keyUses[use]);
  const byte = bits.reduce<number>((sum, bit) => sum | (0x80 >> bit), 0);
  return extension(extensionIds.keyUsage, true, derBitString(Buffer.from([byte]), 7 - Math.max(...bits)));
}

/** The extension that allows the key for servers, clients, or both (RFC 5280, 4.2.1.12). */
export function extendedKeyUsage(...uses: readonly ("server" | "client")[]): Buffer {
  const ids = uses.map((use) => derObjectIdentifier(use === "server" ? serverAuth : clientAuth));
  return extension(extensionIds.extendedKeyUsage, false, derSequence(...ids));
}

/**
 * The extension that says whether the certificate is an authority's (RFC 5280, 4.2.1.9). `pathLength` is how many
 * authorities may be below this one. Undefined means any number.
 */
export function basicConstraints(role: "authority" | "leaf", pathLength?: number): Buffer {
  const limit = pathLength === undefined ? [] : [derElement(derTags.integer, Buffer.from([pathLength]))];
  return extension(extensionIds.basicConstraints, true, role === "leaf" ? derSequence() : derSequence(truth, ...limit));
}

/** The extension that identifies the certificate's own key (RFC 5280, 4.2.1.2). */
export function subjectKeyIdentifier(identifier: Buffer): Buffer {
  return extension(extensionIds.subjectKeyIdentifier, false, derElement(derTags.octetString, identifier));
}

/** The extension that identifies the issuer's key (RFC 5280, 4.2.1.1). */
export function authorityKeyIdentifier(identifier: Buffer): Buffer {
  return extension(extensionIds.authorityKeyIdentifier, false, derSequence(derElement(keyIdentifierTag, identifier)));
}

/** The extension with the alternative names. It must be critical if the subject is empty (RFC 5280, 4.1.2.6). */
export function subjectAltName(
  names: readonly AlternativeName[],
  { critical }: { readonly critical: boolean },
): Buffer {
  return extension(extensionIds.subjectAltName, critical, derSequence(...names.map(alternativeName)));
}

/** Identifies a key by the first 160 bits of its SHA-256 (RFC 7093). */
export function keyIdentifierOf(key: KeyObject): Buffer {
  const parts = new DerReader(key.export({ type: "spki", format: "der" })).inside(derTags.sequence);
  parts.next(derTags.sequence);
  // Skip the first byte of the bit string, which is the number of unused bits.
  const bits = parts.next(derTags.bitString).contents.subarray(1);
  return createHash("sha256").update(bits).digest().subarray(0, keyIdentifierBytes);
}
