import { verify, type KeyObject, type X509Certificate } from "node:crypto";
import { userError } from "../base/index.ts";
import { derObjectIdentifier, DerReader, derSequence, derTags, type DerElement } from "./der.ts";

export interface SignatureAlgorithm {
  /** The hex of the contents of the algorithm's object identifier. */
  readonly identifier: string;
  /** The hash's name in node:crypto. Null if the algorithm itself includes a hash. */
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly keyType: "rsa" | "ec" | "ed25519";
}

const algorithms: readonly SignatureAlgorithm[] = [
  { identifier: "2a864886f70d01010b", hash: "sha256", keyType: "rsa" },
  { identifier: "2a864886f70d01010c", hash: "sha384", keyType: "rsa" },
  { identifier: "2a864886f70d01010d", hash: "sha512", keyType: "rsa" },
  { identifier: "2a8648ce3d040302", hash: "sha256", keyType: "ec" },
  { identifier: "2a8648ce3d040303", hash: "sha384", keyType: "ec" },
  { identifier: "2a8648ce3d040304", hash: "sha512", keyType: "ec" },
  { identifier: "2b6570", hash: null, keyType: "ed25519" },
];

const hashOfCurve: Readonly<Record<string, SignatureAlgorithm["hash"]>> = {
  prime256v1: "sha256",
  secp384r1: "sha384",
  secp521r1: "sha512",
};

/**
 * The algorithm with which a key signs. For an elliptic curve, the curve determines the hash. RSA uses SHA-256. Throws
 * a user error for other keys.
 */
export function algorithmOf(key: KeyObject): SignatureAlgorithm {
  const { asymmetricKeyType: keyType, asymmetricKeyDetails } = key;
  const hash =
    keyType === "ec" ? hashOfCurve[asymmetricKeyDetails?.namedCurve ?? ""] : keyType === "rsa" ? "sha256" : null;
  const found = algorithms.find((candidate) => candidate.keyType === keyType && candidate.hash === hash);
  if (found === undefined) throw userError("bad-key", `is ${describeKey(key)}, expected ${keysExpected}`);
  return found;
}

const keysExpected =
  "RSA of 2048 to 8192 bits with a public exponent of at most 31 bits, ECDSA on P-256, P-384 or P-521, or Ed25519";
const minRsaBits = 2048;
const maxRsaBits = 8192;
/**
 * The largest public exponent that Go accepts. With an exponent as long as the modulus, a verification takes sixty
 * times as long.
 */
const maxPublicExponent = 2n ** 31n - 1n;

/** Throws a user error for a key that is too weak, too large to verify quickly, or of another kind. */
export function checkKey(key: KeyObject): void {
  algorithmOf(key);
  const { modulusLength: bits, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (bits !== undefined && (bits < minRsaBits || bits > maxRsaBits || publicExponent > maxPublicExponent))
    throw userError("bad-key", `is ${describeKey(key)}, expected ${keysExpected}`);
}

function describeKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  const { modulusLength, namedCurve, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  if (modulusLength !== undefined) {
    const size = `${asymmetricKeyType ?? ""} of ${modulusLength} bits`;
    if (publicExponent <= maxPublicExponent) return size;
    return `${size} with ${publicExponent < 2n ** 64n ? `the public exponent ${publicExponent}` : "a longer public exponent"}`;
  }
  return namedCurve === undefined ? (asymmetricKeyType ?? "unknown") : `${asymmetricKeyType ?? ""} on ${namedCurve}`;
}

export function algorithmIdentifier({ identifier, keyType }: SignatureAlgorithm): Buffer {
  return keyType === "rsa"
    ? derSequence(derObjectIdentifier(identifier), Buffer.from([derTags.null, 0]))
    : derSequence(derObjectIdentifier(identifier));
}

/** What certificates, requests and revocation lists have in common: content, algorithm and signature. */
export interface SignedStructure {
  readonly signed: DerElement;
  readonly algorithm: DerElement;
  readonly signature: Buffer;
}

/** Reads this structure. Throws a user error for other bytes. */
export function readSigned(der: Buffer): SignedStructure {
  const outer = new DerReader(der);
  const reader = outer.inside(derTags.sequence);
  outer.finish();
  const signed = reader.next(derTags.sequence);
  const algorithm = reader.next(derTags.sequence);
  const bits = reader.next(derTags.bitString).contents;
  reader.finish();
  if (bits[0] !== 0) throw userError("bad-der", "has a signature that is not a whole number of bytes");
  return { signed, algorithm, signature: bits.subarray(1) };
}

/** The algorithm of the signature. Undefined if it is not supported, for example because it uses MD5 or SHA-1. */
export function signatureAlgorithmOf({ algorithm }: SignedStructure): SignatureAlgorithm | undefined {
  const identifier = new DerReader(algorithm.contents).next(derTags.objectIdentifier).contents.toString("hex");
  return algorithms.find((candidate) => candidate.identifier === identifier);
}

/** Whether the key has signed the structure. Throws a user error if the algorithm is not supported. */
export function isSignedBy(structure: SignedStructure, key: KeyObject): boolean {
  const known = signatureAlgorithmOf(structure);
  if (known === undefined)
    throw userError(
      "bad-signature",
      "is signed with an unsupported algorithm: use SHA-256, SHA-384 or SHA-512 with RSA or ECDSA, or Ed25519",
    );
  return (
    known.keyType === key.asymmetricKeyType && verify(known.hash, structure.signed.encoded, key, structure.signature)
  );
}

/** Whether the authority has issued the certificate: the issuer's name and the signature match. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
