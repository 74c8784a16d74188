import { createPublicKey, type KeyObject } from "node:crypto";
import { messageOf, SerinError, userError } from "../../base/index.ts";
import {
  checkKey,
  commonNameId,
  type DerElement,
  derOfPem,
  DerReader,
  derTags,
  isSignedBy,
  readSigned,
} from "../../x509/index.ts";

/** The parts of a PKCS #10 request that are used. Of its names, it only matters whether there is a common name. */
export interface CertificateRequestParts {
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Buffer;
  readonly hasCommonName: boolean;
}

const maxRequestCharacters = 65_536;

/** Reads a request in PEM and checks its key and its signature. Throws the user error `bad-csr` for an invalid one. */
export function readCertificateRequest(pem: string): CertificateRequestParts {
  if (pem.length > maxRequestCharacters)
    throw refused(`has ${pem.length} characters, at most ${maxRequestCharacters} are allowed`);
  const der = derOfPem(pem, /^(NEW )?CERTIFICATE REQUEST$/);
  if (der === undefined) throw refused("cannot be read: it must be PKCS #10 in PEM");
  try {
    return readParts(der);
  } catch (error) {
    throw error instanceof SerinError && error.code === "bad-csr"
      ? error
      : refused(`cannot be read: it ${messageOf(error)}`, error);
  }
}

function readParts(der: Buffer): CertificateRequestParts {
  const request = readSigned(der);
  const info = new DerReader(request.signed.contents);
  info.next(derTags.integer);
  const subject = info.next(derTags.sequence);
  const publicKey = info.next(derTags.sequence);
  const key = keyOf(publicKey);
  checkKey(key);
  if (!isSignedBy(request, key)) throw refused("is not signed by its own key");
  return { publicKey: publicKey.encoded, hasCommonName: hasAttribute(subject, commonNameId) };
}

function keyOf(publicKey: DerElement): KeyObject {
  try {
    return createPublicKey({ key: publicKey.encoded, format: "der", type: "spki" });
  } catch (error) {
    throw refused("has a public key that cannot be read", error);
  }
}

function hasAttribute(name: DerElement, identifier: string): boolean {
  for (const sets = new DerReader(name.contents); !sets.isAtEnd;) {
    for (const attributes = sets.inside(derTags.set); !attributes.isAtEnd;) {
      const attribute = attributes.inside(derTags.sequence);
      if (
        attribute.next(derTags.objectIdentifier).contents.toString("hex") === identifier &&
        attribute.next().contents.length > 0
      )
        return true;
    }
  }
  return false;
}

function refused(fault: string, cause?: unknown): Error {
  return userError("bad-csr", `the certificate request ${fault}`, cause === undefined ? {} : { cause });
}
