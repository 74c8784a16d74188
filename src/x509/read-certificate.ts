import { DerReader, derTags } from "./der.ts";
import { extensionIds } from "./extensions.ts";
import { readSigned } from "./signature-algorithms.ts";

/** What certificates repeat of their issuer. */
export interface IssuerParts {
  readonly subject: Buffer;
  /** The issuer's key identifier. Undefined if it has none. */
  readonly keyIdentifier: Buffer | undefined;
}

export interface CertificateParts {
  /** Without zero bytes at the beginning. */
  readonly serialNumber: Buffer;
  /** In DER. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Keyed by the id in hex. */
  readonly extensions: ReadonlyMap<string, { readonly value: Buffer; readonly encoded: Buffer }>;
}

/** Reads a certificate in DER. Throws a user error if it is malformed. */
export function readCertificate(der: Buffer): CertificateParts {
  const reader = new DerReader(readSigned(der).signed.contents);
  reader.optional(derTags.context0);
  const serialNumber = withoutZeros(reader.next(derTags.integer).contents);
  reader.next(derTags.sequence);
  const issuer = reader.next(derTags.sequence).encoded;
  reader.next(derTags.sequence);
  const subject = reader.next(derTags.sequence).encoded;
  reader.next(derTags.sequence);
  const extensions = new Map<string, { value: Buffer; encoded: Buffer }>();
  while (!reader.isAtEnd) {
    const part = reader.next();
    if (part.tag !== derTags.context3) continue;
    const list = new DerReader(part.contents).inside(derTags.sequence);
    while (!list.isAtEnd) {
      const { contents, encoded } = list.next(derTags.sequence);
      const extension = new DerReader(contents);
      const id = extension.next(derTags.objectIdentifier).contents.toString("hex");
      extension.optional(derTags.boolean);
      extensions.set(id, { value: extension.next(derTags.octetString).contents, encoded });
    }
  }
  return { serialNumber, issuer, subject, extensions };
}

/** The bytes of a positive integer, without zero bytes at the beginning. */
export function withoutZeros(integer: Buffer): Buffer {
  const first = integer.findIndex((byte) => byte !== 0);
  return first < 0 ? integer.subarray(integer.length) : integer.subarray(first);
}

export function readIssuer(der: Buffer): IssuerParts {
  const { subject, extensions } = readCertificate(der);
  const identifier = extensions.get(extensionIds.subjectKeyIdentifier)?.value;
  return {
    subject,
    keyIdentifier: identifier === undefined ? undefined : new DerReader(identifier).next(derTags.octetString).contents,
  };
}

/** How many authorities may be below the authority of this certificate. Undefined means any number. */
export function readPathLength(der: Buffer): number | undefined {
  const constraints = readCertificate(der).extensions.get(extensionIds.basicConstraints)?.value;
  if (constraints === undefined) return undefined;
  const parts = new DerReader(constraints).inside(derTags.sequence);
  parts.optional(derTags.boolean);
  const length = parts.optional(derTags.integer)?.contents;
  return length === undefined ? undefined : Number.parseInt(length.toString("hex"), 16);
}

/** The X.509 version of a certificate: 1 to 3. */
export function readVersion(der: Buffer): number {
  const version = new DerReader(readSigned(der).signed.contents).optional(derTags.context0);
  return version === undefined
    ? 1
    : Number.parseInt(new DerReader(version.contents).next(derTags.integer).contents.toString("hex"), 16) + 1;
}
