import { createPrivateKey, randomBytes, webcrypto, type KeyObject } from "node:crypto";
import { internalError, userError, type Clock } from "../../base/index.ts";
import { fingerprintOf, rootBundle, splitPem } from "./root-bundle.ts";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  type Extension,
} from "./x509.ts";

type WebKey = webcrypto.CryptoKey;
type WebPublicKey = X509Certificate["publicKey"] | WebKey;

/** What a certificate authority is made of, all PEM. */
export interface AuthorityMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** What peers trust, one or several; the certificate itself when it is self-signed. */
  readonly root: string;
  /** Intermediates between the certificate and the root. */
  readonly chain: string;
}

export interface IssuedCertificate {
  /** PEM, leaf first; the roots last, in one text. */
  readonly chain: readonly string[];
  readonly notAfterMs: number;
}

export interface ServingCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notAfterMs: number;
}

const msPerSecond = 1000;
const msPerDay = 86_400_000;
const rootLifetimeDays = 3650;
const rootKeyBits = 2048;
/** Clocks of machines differ: certificates hold from a little before they are made. */
const backdateMs = 120_000;
const serialBytes = 16;

export const rsaSignature = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", publicExponent: new Uint8Array([1, 0, 1]), modulusLength: rootKeyBits };
const leafKey = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Makes a self-signed authority: RSA 2048, ten years, as istiod does. RSA, as every handshake of the mesh verifies it. */
export async function createSelfSignedAuthority(organization: string, clock: Clock): Promise<AuthorityMaterial> {
  const keys = await webcrypto.subtle.generateKey(rsaSignature, true, ["sign", "verify"]);
  const nowMs = clock.nowMs();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ O: [organization] }],
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + rootLifetimeDays * msPerDay),
    keys,
    signingAlgorithm: rsaSignature,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = certificate.toString("pem");
  return { certificate: pem, privateKey: await exportPrivateKey(keys.privateKey), root: pem, chain: "" };
}

/** Signs for the mesh. Immutable: a changed secret makes another one. */
export class CertificateAuthority {
  /** All roots that it tells to trust, the one that it signs by first. PEM. */
  readonly root: string;
  /** The same as SHA-256, hex. */
  readonly rootFingerprints: readonly string[];
  readonly #issuer: X509Certificate;
  readonly #key: WebKey;
  readonly #algorithm: { readonly name: string; readonly hash: string };
  readonly #above: readonly string[];
  readonly #clock: Clock;

  private constructor(material: AuthorityMaterial, issuer: X509Certificate, key: WebKey, algorithm: { readonly name: string; readonly hash: string }, clock: Clock) {
    this.root = rootBundle(material);
    const roots = splitPem(this.root);
    this.rootFingerprints = roots.map(fingerprintOf);
    this.#issuer = issuer;
    this.#key = key;
    this.#algorithm = algorithm;
    this.#above = [...new Set([...splitPem(material.certificate), ...splitPem(material.chain)])].filter((pem) => !roots.includes(pem));
    this.#clock = clock;
  }

  static async load(material: AuthorityMaterial, clock: Clock): Promise<CertificateAuthority> {
    const { key, algorithm } = await importPrivateKey(material.privateKey);
    return new CertificateAuthority(material, new X509Certificate(splitPem(material.certificate)[0] ?? ""), key, algorithm, clock);
  }

  /** Signs a request's key, for this identity and no other: what the request itself says of names is not looked at. */
  async signWorkload(csrPem: string, spiffeId: string, ttlSeconds: number): Promise<IssuedCertificate> {
    const publicKey = await verifiedKey(csrPem);
    const leaf = await this.#issue(publicKey, [{ type: "url", value: spiffeId }], ttlSeconds * msPerSecond);
    return { chain: [leaf.toString("pem"), ...this.#above, this.root], notAfterMs: leaf.notAfter.getTime() };
  }

  /** A key and certificate for a server of ours. */
  async issueServing(dnsNames: readonly string[], ttlMs: number): Promise<ServingCertificate> {
    const keys = await webcrypto.subtle.generateKey(leafKey, true, ["sign", "verify"]);
    const leaf = await this.#issue(keys.publicKey, dnsNames.map((value) => ({ type: "dns", value })), ttlMs);
    return {
      certificate: [leaf.toString("pem"), ...this.#above].join("\n"),
      privateKey: await exportPrivateKey(keys.privateKey),
      notAfterMs: leaf.notAfter.getTime(),
    };
  }

  async #issue(publicKey: WebPublicKey, names: readonly { type: "url" | "dns"; value: string }[], ttlMs: number): Promise<X509Certificate> {
    const nowMs = this.#clock.nowMs();
    const extensions: Extension[] = [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new BasicConstraintsExtension(false, undefined, true),
      // Critical, as there is no subject (RFC 5280, 4.1.2.6).
      new SubjectAlternativeNameExtension([...names], true),
    ];
    return await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: "",
      issuer: this.#issuer.subject,
      notBefore: new Date(nowMs - backdateMs),
      notAfter: new Date(Math.min(nowMs + ttlMs, this.#issuer.notAfter.getTime())),
      publicKey,
      signingKey: this.#key,
      signingAlgorithm: this.#algorithm,
      extensions,
    });
  }
}

async function verifiedKey(csrPem: string): Promise<X509Certificate["publicKey"]> {
  let request: Pkcs10CertificateRequest;
  try {
    request = new Pkcs10CertificateRequest(csrPem);
  } catch (error) {
    throw userError("bad-csr", "the certificate request cannot be read: it must be PKCS #10 in PEM", { cause: error });
  }
  if (!(await request.verify())) throw userError("bad-csr", "the certificate request is not signed by its own key");
  return request.publicKey;
}

/** Positive and at most 16 bytes, without a leading zero byte. */
function serialNumber(): string {
  const bytes = randomBytes(serialBytes);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

async function exportPrivateKey(key: WebKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" }).toString();
}

/** RSA or ECDSA, PKCS #8, PKCS #1 or SEC 1. */
async function importPrivateKey(pem: string): Promise<{ readonly key: WebKey; readonly algorithm: { readonly name: string; readonly hash: string } }> {
  let object: KeyObject;
  try {
    object = createPrivateKey(pem);
  } catch (error) {
    throw userError("bad-ca-key", "the CA's private key cannot be read: it must be RSA or ECDSA in PEM", { cause: error });
  }
  const algorithm = object.asymmetricKeyType === "ec" ? { name: "ECDSA", namedCurve: curveOf(object), hash: "SHA-256" } : rsaSignature;
  const der = object.export({ type: "pkcs8", format: "der" });
  return { key: await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]), algorithm };
}

const curves: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

function curveOf(key: KeyObject): string {
  const named = key.asymmetricKeyDetails?.namedCurve ?? "";
  const curve = curves[named];
  if (curve === undefined) throw internalError("unknown-curve", `the CA's key is on the curve "${named}", which is not supported`);
  return curve;
}
