import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
  type X509Certificate,
} from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface Issued {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

/** A root, or an authority below another one. It issues leaf certificates for tests. */
export class TestAuthority {
  readonly #root: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #above: TestAuthority | undefined;

  private constructor(root: X509Certificate, keys: webcrypto.CryptoKeyPair, above?: TestAuthority) {
    this.#root = root;
    this.#keys = keys;
    this.#above = above;
  }

  static async create(organization = "test root"): Promise<TestAuthority> {
    const keys = await newKeys();
    const root = await X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: `O=${organization}`,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      keys,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(root, keys);
  }

  get roots(): string {
    return this.#above?.roots ?? this.#root.toString("pem");
  }

  /** An authority below this one. Its leaves come with its certificate. */
  async subordinate(serialNumber: string): Promise<TestAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      serialNumber,
      subject: `O=test authority ${serialNumber}`,
      issuer: this.#root.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(certificate, keys, this);
  }

  /** A self-signed certificate in PEM with the authority's name, which nobody trusts. */
  async selfSigned(): Promise<string> {
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: "03",
      name: this.#root.subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      keys: this.#keys,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return certificate.toString("pem");
  }

  /** A revocation list in PEM that is valid for an hour. Without serial numbers, it revokes nothing. */
  async revoke(...serialNumbers: readonly string[]): Promise<string> {
    const list = await X509CrlGenerator.create({
      issuer: this.#root.subject,
      thisUpdate: new Date(Date.now() - 60_000),
      nextUpdate: new Date(Date.now() + 3_600_000),
      entries: serialNumbers.map((serialNumber) => ({ serialNumber, revocationDate: new Date() })),
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
    });
    return `-----BEGIN X509 CRL-----\n${Buffer.from(list.rawData)
      .toString("base64")
      .replaceAll(/(.{64})(?=.)/g, "$1\n")}\n-----END X509 CRL-----\n`;
  }

  async issue(name: {
    readonly spiffe?: string;
    /** Several URIs in one certificate, which SPIFFE forbids. */
    readonly spiffes?: readonly string[];
    readonly dns?: string;
    readonly serialNumber?: string;
  }): Promise<Issued> {
    const keys = await newKeys();
    const names = [
      ...(name.spiffe === undefined ? [] : [{ type: "url" as const, value: name.spiffe }]),
      ...(name.spiffes ?? []).map((value) => ({ type: "url" as const, value })),
      ...(name.dns === undefined ? [] : [{ type: "dns" as const, value: name.dns }]),
    ];
    const leaf = await X509CertificateGenerator.create({
      serialNumber: name.serialNumber ?? "02",
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
      certificateChain:
        this.#above === undefined ? leaf.toString("pem") : `${leaf.toString("pem")}\n${this.#root.toString("pem")}\n`,
      privateKey: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      roots: this.roots,
    };
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}
