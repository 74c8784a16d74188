import { generateKeyPairSync, sign, webcrypto, type KeyObject } from "node:crypto";
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
} from "@peculiar/x509";
import { derBitString, DerReader, derSequence, derTags, pemOf, readSigned } from "../../../x509/index.ts";

export interface TestAuthority {
  readonly certificate: string;
  readonly key: KeyObject;
}

export interface TestAuthorityOptions {
  readonly name: string;
  readonly issuer?: TestAuthority;
  readonly kind?: "rsa" | "ec";
  readonly isAuthority?: boolean;
  readonly pathLength?: number;
  readonly fromMs?: number;
  readonly toMs?: number;
  /** The version of X.509. Version 1 has no extensions. */
  readonly version?: 1 | 3;
}

const hourMs = 3_600_000;
const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const ec = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export async function makeAuthority(options: TestAuthorityOptions): Promise<TestAuthority> {
  const {
    name,
    issuer,
    kind = "ec",
    isAuthority = true,
    pathLength,
    fromMs = Date.now() - hourMs,
    toMs = Date.now() + hourMs,
    version = 3,
  } = options;
  const pair =
    kind === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const algorithm = kind === "ec" ? ec : rsa;
  const signer = issuer?.key ?? pair.privateKey;
  const signerAlgorithm = signer.asymmetricKeyType === "ec" ? ec : rsa;
  const certificate = await X509CertificateGenerator.create({
    subject: [{ O: [name] }],
    issuer: issuer === undefined ? [{ O: [name] }] : new X509Certificate(issuer.certificate).subject,
    notBefore: new Date(fromMs),
    notAfter: new Date(toMs),
    publicKey: await webcrypto.subtle.importKey(
      "spki",
      pair.publicKey.export({ type: "spki", format: "der" }),
      algorithm,
      true,
      ["verify"],
    ),
    signingKey: await webcrypto.subtle.importKey(
      "pkcs8",
      signer.export({ type: "pkcs8", format: "der" }),
      signerAlgorithm,
      false,
      ["sign"],
    ),
    signingAlgorithm: signerAlgorithm,
    extensions: isAuthority
      ? [new BasicConstraintsExtension(true, pathLength, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)]
      : [],
  });
  if (version === 1)
    return { certificate: withoutVersion(Buffer.from(certificate.rawData), signer), key: pair.privateKey };
  return { certificate: `${certificate.toString("pem")}\n`, key: pair.privateKey };
}

function withoutVersion(der: Buffer, signer: KeyObject): string {
  const { signed, algorithm } = readSigned(der);
  const reader = new DerReader(signed.contents);
  const parts: Buffer[] = [];
  while (!reader.isAtEnd) {
    const part = reader.next();
    if (part.tag !== derTags.context0 && part.tag !== derTags.context3) parts.push(part.encoded);
  }
  const body = derSequence(...parts);
  return pemOf("CERTIFICATE", derSequence(body, algorithm.encoded, derBitString(sign("sha256", body, signer))));
}

export function keyPem(key: KeyObject, type: "pkcs1" | "pkcs8" | "sec1" = "pkcs8"): string {
  return key.export({ type, format: "pem" }).toString();
}

export async function revocationList({ certificate, key }: TestAuthority): Promise<string> {
  const algorithm = key.asymmetricKeyType === "ec" ? ec : rsa;
  const list = await X509CrlGenerator.create({
    issuer: new X509Certificate(certificate).subject,
    thisUpdate: new Date(),
    nextUpdate: new Date(Date.now() + hourMs),
    entries: [],
    signingAlgorithm: algorithm,
    signingKey: await webcrypto.subtle.importKey(
      "pkcs8",
      key.export({ type: "pkcs8", format: "der" }),
      algorithm,
      false,
      ["sign"],
    ),
  });
  return `${list.toString("pem").replaceAll(/(BEGIN|END) CRL/g, "$1 X509 CRL")}\n`;
}
