import { generateKeyPair, sign, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { bitString, der, integer, objectIdentifier, pem, sequence, tag } from "./der.ts";

export const oid = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  extensionRequest: "1.2.840.113549.1.9.14",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  organization: "2.5.4.10",
} as const;

const generate = promisify(generateKeyPair);

export interface KeyAndRequest {
  readonly privateKeyPem: string;
  readonly csrPem: string;
}

/** Creates an ECDSA P-256 key, and a request for a certificate whose only name is the SPIFFE id. */
export async function createCertificateRequest(identity: string): Promise<KeyAndRequest> {
  const { privateKey, publicKey } = await generate("ec", { namedCurve: "P-256" });
  const attributes = sequence(objectIdentifier(oid.extensionRequest), der(tag.set, sequence(subjectAltName(identity))));
  const info = sequence(
    integer(Buffer.from([0])),
    sequence(),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa0, attributes),
  );
  const request = signed(info, privateKey);
  return {
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    csrPem: pem("CERTIFICATE REQUEST", request),
  };
}

/**
 * The outer form of requests and certificates: the signed content, the algorithm (ECDSA with SHA-256), and the
 * signature.
 */
export function signed(info: Buffer, privateKey: KeyObject): Buffer {
  return sequence(info, signatureAlgorithm(), bitString(sign("sha256", info, privateKey)));
}

export function signatureAlgorithm(): Buffer {
  return sequence(objectIdentifier(oid.ecdsaWithSha256));
}

export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [der(tag.boolean, Buffer.from([0xff]))] : [];
  return sequence(objectIdentifier(id), ...flag, der(tag.octetString, value));
}

/** The name as a URI. The extension is critical because the subject is empty. */
export function subjectAltName(uri: string): Buffer {
  return extension(oid.subjectAltName, true, sequence(der(0x86, Buffer.from(uri))));
}
