import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { systemClock, userError, type Clock } from "../../base/index.ts";
import {
  basicConstraints,
  derOfPem,
  DerReader,
  derTags,
  distinguishedName,
  extendedKeyUsage,
  keyUsage,
  readSigned,
  subjectAltName,
  X509Signer,
} from "../../x509/index.ts";
import type { CertificateAuthority, SigningRequest } from "./certificate-types.ts";

const dayMs = 86_400_000;

/**
 * Signs every request with its own root: upstream's FAKE_CA. Two processes trust each other if they share the root: one
 * exports it (`exportRoot`), and the other gets it as an option. Use it only for tests.
 */
export class FakeCertificateAuthority implements CertificateAuthority {
  readonly rootPem: string;
  readonly #key: KeyObject;
  readonly #clock: Clock;

  constructor(
    options: {
      readonly root?: { readonly keyPem: string; readonly certificatePem: string };
      readonly clock?: Clock;
    } = {},
  ) {
    this.#clock = options.clock ?? systemClock;
    if (options.root !== undefined) {
      this.#key = createPrivateKey(options.root.keyPem);
      this.rootPem = options.root.certificatePem;
      return;
    }
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = privateKey;
    const spki = publicKey.export({ type: "spki", format: "der" });
    this.rootPem = this.#certificate(spki, name, 3650 * dayMs, [
      basicConstraints("authority"),
      keyUsage("keyCertSign"),
    ]);
  }

  exportRoot(): { readonly keyPem: string; readonly certificatePem: string } {
    return { keyPem: this.#key.export({ type: "pkcs8", format: "pem" }).toString(), certificatePem: this.rootPem };
  }

  sign(request: SigningRequest): Promise<readonly string[]> {
    const publicKey = publicKeyOf(request.csrPem);
    const leaf = this.#certificate(publicKey, distinguishedName({}), request.validitySeconds * 1000, [
      keyUsage("digitalSignature", "keyEncipherment"),
      extendedKeyUsage("server", "client"),
      subjectAltName([{ uri: request.identity }], { critical: true }),
    ]);
    return Promise.resolve([leaf, this.rootPem]);
  }

  #certificate(publicKey: Buffer, subject: Buffer, validityMs: number, extensions: readonly Buffer[]): string {
    const nowMs = this.#clock.nowMs();
    return new X509Signer(this.#key).certificate({
      issuer: name,
      subject,
      publicKey,
      // Allow clocks to differ by two minutes.
      notBeforeMs: nowMs - 120_000,
      notAfterMs: nowMs + validityMs,
      extensions,
    });
  }
}

const name = distinguishedName({ organizations: ["cluster.local"] });

function publicKeyOf(csrPem: string): Buffer {
  try {
    const { signed } = readSigned(derOfPem(csrPem, /^CERTIFICATE REQUEST$/) ?? Buffer.alloc(0));
    const info = new DerReader(signed.contents);
    info.next(derTags.integer);
    info.next(derTags.sequence);
    return info.next(derTags.sequence).encoded;
  } catch (error) {
    throw userError("bad-csr", "the certificate request is not a PKCS #10 request in PEM", { cause: error });
  }
}
