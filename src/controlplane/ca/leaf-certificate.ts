import { randomBytes } from "node:crypto";
import { derBitString, derElement, derObjectIdentifier, DerReader, derSequence, derTags, derTime } from "./der.ts";
import { readSigned } from "./signature-algorithms.ts";

/** The fields of an issuer that a certificate contains. */
export interface IssuerParts {
  /** Its subject in DER. */
  readonly subject: Buffer;
  /** Its key identifier, if it has one. */
  readonly keyIdentifier: Buffer | undefined;
}

const extensionIds = {
  subjectKeyIdentifier: "551d0e",
  keyUsage: "551d0f",
  subjectAltName: "551d11",
  basicConstraints: "551d13",
  authorityKeyIdentifier: "551d23",
  extendedKeyUsage: "551d25",
} as const;
const serverAuth = "2b06010505070301";
const clientAuth = "2b06010505070302";
const commonName = "550403";

/** Reads from an authority's certificate in DER how many authorities may be below it. Undefined: any number. */
export function readPathLength(der: Buffer): number | undefined {
  const constraints = readParts(der).extensions.get(extensionIds.basicConstraints);
  if (constraints === undefined) return undefined;
  const parts = new DerReader(constraints).inside(derTags.sequence);
  parts.optional(derTags.boolean);
  const length = parts.optional(derTags.integer)?.contents;
  return length === undefined ? undefined : Number.parseInt(length.toString("hex"), 16);
}

/** The X.509 version of a certificate in DER: 1 to 3. */
export function readVersion(der: Buffer): number {
  const version = new DerReader(readSigned(der).signed.contents).optional(derTags.context0);
  return version === undefined
    ? 1
    : Number.parseInt(new DerReader(version.contents).next(derTags.integer).contents.toString("hex"), 16) + 1;
}

/** Reads the issuer's fields from its certificate in DER. */
export function readIssuer(der: Buffer): IssuerParts {
  const { subject, extensions } = readParts(der);
  const identifier = extensions.get(extensionIds.subjectKeyIdentifier);
  return {
    subject,
    keyIdentifier: identifier === undefined ? undefined : new DerReader(identifier).next(derTags.octetString).contents,
  };
}

/** Reads the subject, and the values of the extensions keyed by their ids in hex. */
function readParts(der: Buffer): { readonly subject: Buffer; readonly extensions: ReadonlyMap<string, Buffer> } {
  const reader = new DerReader(readSigned(der).signed.contents);
  reader.optional(derTags.context0);
  reader.next(derTags.integer);
  reader.next(derTags.sequence);
  reader.next(derTags.sequence);
  reader.next(derTags.sequence);
  const subject = reader.next(derTags.sequence).whole;
  reader.next(derTags.sequence);
  const extensions = new Map<string, Buffer>();
  while (!reader.isAtEnd) {
    const part = reader.next();
    if (part.tag !== derTags.context3) continue;
    const list = new DerReader(part.contents).inside(derTags.sequence);
    while (!list.isAtEnd) {
      const extension = list.inside(derTags.sequence);
      const id = extension.next(derTags.objectIdentifier).contents.toString("hex");
      extension.optional(derTags.boolean);
      extensions.set(id, extension.next(derTags.octetString).contents);
    }
  }
  return { subject, extensions };
}

export interface LeafNames {
  readonly kind: "uri" | "dns";
  readonly values: readonly string[];
  /** Empty: none. */
  readonly commonName: string;
}

export interface LeafRequest {
  readonly issuer: IssuerParts;
  readonly algorithm: Buffer;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
  readonly names: LeafNames;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const versionThree = derElement(derTags.context0, derElement(derTags.integer, Buffer.from([2])));
const critical = derElement(derTags.boolean, Buffer.from([0xff]));
/** The bits of digital signature (the first) and key encipherment (the third). */
const keyUsage = extension(extensionIds.keyUsage, derBitString(Buffer.from([0xa0]), 5), critical);
const extendedKeyUsage = extension(
  extensionIds.extendedKeyUsage,
  derSequence(derObjectIdentifier(serverAuth), derObjectIdentifier(clientAuth)),
);
const basicConstraints = extension(extensionIds.basicConstraints, derSequence(), critical);
const generalNameTags = { dns: 0x82, uri: 0x86 } as const;
const keyIdentifierTag = 0x80;
const serialBytes = 16;

/** Encodes the signed part of a leaf certificate, which serves servers and clients and is not an authority's. */
export function encodeLeaf({ issuer, algorithm, publicKey, names, notBeforeMs, notAfterMs }: LeafRequest): Buffer {
  const subject =
    names.commonName === ""
      ? derSequence()
      : derSequence(
          derElement(
            derTags.set,
            derSequence(derObjectIdentifier(commonName), derElement(derTags.utf8String, Buffer.from(names.commonName))),
          ),
        );
  const altNames = derSequence(
    ...names.values.map((value) => derElement(generalNameTags[names.kind], Buffer.from(value))),
  );
  const extensions = [
    keyUsage,
    extendedKeyUsage,
    basicConstraints,
    ...(issuer.keyIdentifier === undefined
      ? []
      : [
          extension(
            extensionIds.authorityKeyIdentifier,
            derSequence(derElement(keyIdentifierTag, issuer.keyIdentifier)),
          ),
        ]),
    // Critical, because the subject may be empty (RFC 5280, 4.1.2.6).
    extension(extensionIds.subjectAltName, altNames, critical),
  ];
  return derSequence(
    versionThree,
    derElement(derTags.integer, serialNumber()),
    algorithm,
    issuer.subject,
    derSequence(derTime(notBeforeMs), derTime(notAfterMs)),
    subject,
    publicKey,
    derElement(derTags.context3, derSequence(...extensions)),
  );
}

function extension(id: string, value: Buffer, ...flags: readonly Buffer[]): Buffer {
  return derSequence(derObjectIdentifier(id), ...flags, derElement(derTags.octetString, value));
}

/** Makes a random serial number: positive, at most 16 bytes, without a leading zero byte. */
export function serialNumber(): Buffer {
  const bytes = randomBytes(serialBytes);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
