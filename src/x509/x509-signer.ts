import { randomBytes, sign, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { derBitString, derElement, derObjectIdentifier, derSequence, derTags, derTime } from "./der.ts";
import { subjectAltName } from "./extensions.ts";
import { distinguishedName, type AlternativeName } from "./names.ts";
import { pemOf } from "./pem.ts";
import { algorithmIdentifier, algorithmOf, type SignatureAlgorithm } from "./signature-algorithms.ts";

export interface CertificateContent {
  /** In DER, like the other names, keys and extensions here. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Buffer[];
}

const signInPool = promisify(sign);
const versionThree = derElement(derTags.context0, derElement(derTags.integer, Buffer.from([2])));
const requestVersion = derElement(derTags.integer, Buffer.from([0]));
const extensionRequest = "2a864886f70d01090e";
const serialBytes = 16;

export class X509Signer {
  readonly #key: KeyObject;
  readonly #algorithm: SignatureAlgorithm;
  readonly #algorithmDer: Buffer;

  /** Throws a user error unless the private key is an RSA, ECDSA or Ed25519 key. */
  constructor(key: KeyObject) {
    this.#key = key;
    this.#algorithm = algorithmOf(key);
    this.#algorithmDer = algorithmIdentifier(this.#algorithm);
  }

  /** A certificate in PEM with a random serial number. */
  certificate(content: CertificateContent): string {
    const body = this.#body(content);
    return this.#closed("CERTIFICATE", body, sign(this.#algorithm.hash, body, this.#key));
  }

  /** Like {@link certificate}, but signs in another thread, because a signature with RSA takes a millisecond. */
  async certificateInPool(content: CertificateContent): Promise<string> {
    const body = this.#body(content);
    return this.#closed("CERTIFICATE", body, await signInPool(this.#algorithm.hash, body, this.#key));
  }

  /**
   * A PKCS #10 request in PEM for a certificate of the signer's key. Its subject is empty, and it has only these names.
   */
  request(publicKey: Buffer, names: readonly AlternativeName[]): string {
    const extensions = derSequence(subjectAltName(names, { critical: true }));
    const attributes = derSequence(derObjectIdentifier(extensionRequest), derElement(derTags.set, extensions));
    const body = derSequence(
      requestVersion,
      distinguishedName({}),
      publicKey,
      derElement(derTags.context0, attributes),
    );
    return this.#closed("CERTIFICATE REQUEST", body, sign(this.#algorithm.hash, body, this.#key));
  }

  #body({ issuer, subject, publicKey, notBeforeMs, notAfterMs, extensions }: CertificateContent): Buffer {
    return derSequence(
      versionThree,
      derElement(derTags.integer, serialNumber()),
      this.#algorithmDer,
      issuer,
      derSequence(derTime(notBeforeMs), derTime(notAfterMs)),
      subject,
      publicKey,
      ...(extensions.length === 0 ? [] : [derElement(derTags.context3, derSequence(...extensions))]),
    );
  }

  #closed(label: string, body: Buffer, signature: Buffer): string {
    return pemOf(label, derSequence(body, this.#algorithmDer, derBitString(signature)));
  }
}

/** A random serial number: positive, and without a zero byte at the beginning. */
function serialNumber(): Buffer {
  const bytes = randomBytes(serialBytes);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}
