import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator, type X509Certificate } from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface Issued {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

/** A root of its own that issues leaves for tests. */
export class TestAuthority {
  readonly #root: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;

  private constructor(root: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.#root = root;
    this.#keys = keys;
  }

  static async create(): Promise<TestAuthority> {
    const keys = await newKeys();
    const root = await X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: "O=test root",
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      keys,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(root, keys);
  }

  get roots(): string {
    return this.#root.toString("pem");
  }

  async issue(name: { readonly spiffe?: string; readonly dns?: string }): Promise<Issued> {
    const keys = await newKeys();
    const names = [
      ...(name.spiffe === undefined ? [] : [{ type: "url" as const, value: name.spiffe }]),
      ...(name.dns === undefined ? [] : [{ type: "dns" as const, value: name.dns }]),
    ];
    const leaf = await X509CertificateGenerator.create({
      serialNumber: "02",
      subject: "O=test leaf",
      issuer: this.#root.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new SubjectAlternativeNameExtension(names, true)],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
    return {
      certificateChain: leaf.toString("pem"),
      privateKey: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      roots: this.roots,
    };
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}
