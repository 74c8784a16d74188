import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import {
  type AlternativeName,
  authorityKeyIdentifier,
  basicConstraints,
  distinguishedName,
  extendedKeyUsage,
  keyIdentifierOf,
  keyUsage,
  readIssuer,
  subjectAltName,
  subjectKeyIdentifier,
  X509Signer,
} from "../../x509/index.ts";

export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly subjectAltNames?: readonly string[];
  readonly usages: readonly ("server" | "client")[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function newKey(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function alternativeOf(name: string): AlternativeName {
  return isIP(name) === 0 ? { dns: name } : { ip: name };
}

/** Creates the key and the self-signed certificate of a certificate authority. */
export function createAuthority(commonName: string, notBeforeMs: number, notAfterMs: number): KeyAndCertificate {
  const { privateKey, publicKey } = newKey();
  const name = distinguishedName({ commonName });
  const certificatePem = new X509Signer(privateKey).certificate({
    issuer: name,
    subject: name,
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    notBeforeMs,
    notAfterMs,
    extensions: [
      keyUsage("digitalSignature", "keyEncipherment", "keyCertSign"),
      basicConstraints("authority"),
      subjectKeyIdentifier(keyIdentifierOf(publicKey)),
      subjectAltName([{ dns: commonName }], { critical: false }),
    ],
  });
  return { keyPem: pemOf(privateKey), certificatePem };
}

/** Creates a key and its certificate, which `authority` from {@link createAuthority} signs. */
export function issueCertificate(authority: KeyAndCertificate, request: CertificateRequest): KeyAndCertificate {
  const { privateKey, publicKey } = newKey();
  const { subject: issuer, keyIdentifier } = readIssuer(new X509Certificate(authority.certificatePem).raw);
  const { commonName, organizations = [], subjectAltNames = [], usages, notBeforeMs, notAfterMs } = request;
  const certificatePem = new X509Signer(createPrivateKey(authority.keyPem)).certificate({
    issuer,
    subject: distinguishedName({ commonName, organizations }),
    publicKey: publicKey.export({ type: "spki", format: "der" }),
    notBeforeMs,
    notAfterMs,
    extensions: [
      keyUsage("digitalSignature", "keyEncipherment"),
      extendedKeyUsage(...usages),
      basicConstraints("leaf"),
      subjectKeyIdentifier(keyIdentifierOf(publicKey)),
      ...(keyIdentifier === undefined ? [] : [authorityKeyIdentifier(keyIdentifier)]),
      ...(subjectAltNames.length === 0
        ? []
        : [subjectAltName(subjectAltNames.map(alternativeOf), { critical: false })]),
    ],
  });
  return { keyPem: pemOf(privateKey), certificatePem };
}
