import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";

export interface RegistryCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly address?: string;
  /** The certificate's validity. By default, from a day before now to a day after now. */
  readonly from?: Date;
  readonly to?: Date;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 86_400_000;

export async function registryCertificate(options: CertificateOptions = {}): Promise<RegistryCertificate> {
  const { address = "127.0.0.1", from = new Date(Date.now() - dayMs), to = new Date(Date.now() + dayMs) } = options;
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "CN=registry.test",
    notBefore: from,
    notAfter: to,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: address }])],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    cert: certificate.toString("pem"),
    key: `-----BEGIN PRIVATE KEY-----\n${key.match(/.{1,64}/g)?.join("\n") ?? ""}\n-----END PRIVATE KEY-----\n`,
  };
}
