import { createPrivateKey, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { systemClock, userError, type Clock } from "../../base/index.ts";
import { children, der, integer, objectIdentifier, pem, sequence, tag, time, unpem } from "./der.ts";
import { extension, oid, signatureAlgorithm, signed, subjectAltName } from "./certificate-request.ts";
import type { CertificateAuthority, SigningRequest } from "./certificate-types.ts";

const dayMs = 86_400_000;

/**
 * Signs every request with its own root: upstream's FAKE_CA. Processes trust each other if they share the root
 * (`exportRoot` of one, the option of the other). Only for tests.
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
    this.rootPem = this.#certificate(spki, subject(), 3650 * dayMs, [
      extension(oid.basicConstraints, true, sequence(der(tag.boolean, Buffer.from([0xff])))),
      extension(oid.keyUsage, true, der(tag.bitString, Buffer.from([2, 0x04]))),
    ]);
  }

  exportRoot(): { readonly keyPem: string; readonly certificatePem: string } {
    return { keyPem: this.#key.export({ type: "pkcs8", format: "pem" }).toString(), certificatePem: this.rootPem };
  }

  sign(request: SigningRequest): Promise<readonly string[]> {
    const leaf = this.#certificate(publicKeyOf(request.csrPem), sequence(), request.validitySeconds * 1000, [
      extension(oid.keyUsage, true, der(tag.bitString, Buffer.from([5, 0xa0]))),
      extension(
        oid.extendedKeyUsage,
        false,
        sequence(objectIdentifier(oid.serverAuth), objectIdentifier(oid.clientAuth)),
      ),
      subjectAltName(request.identity),
    ]);
    return Promise.resolve([leaf, this.rootPem]);
  }

  #certificate(spki: Buffer, name: Buffer, validityMs: number, extensions: readonly Buffer[]): string {
    const now = this.#clock.nowMs();
    const info = sequence(
      der(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      signatureAlgorithm(),
      subject(),
      // Two minutes of tolerance for clocks that differ.
      sequence(time(now - 120_000), time(now + validityMs)),
      name,
      spki,
      der(0xa3, sequence(...extensions)),
    );
    return pem("CERTIFICATE", signed(info, this.#key));
  }
}

function subject(): Buffer {
  return sequence(
    der(tag.set, sequence(objectIdentifier(oid.organization), der(tag.utf8String, Buffer.from("cluster.local")))),
  );
}

function publicKeyOf(csrPem: string): Buffer {
  try {
    const [info] = children(unpem(csrPem));
    const spki = children(info ?? Buffer.alloc(0))[2];
    if (spki !== undefined) return spki;
  } catch (error) {
    throw userError("csr-invalid", "the certificate request is not a PKCS #10 request in PEM", { cause: error });
  }
  throw userError("csr-invalid", "the certificate request has no public key");
}
