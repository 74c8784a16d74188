import { createPublicKey, generateKeyPair, hash, sign, webcrypto, X509Certificate, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { userError, type Clock } from "../../base/index.ts";
import { privateKeyOf } from "./authority-check.ts";
import { readCertificateRequest } from "./certificate-request.ts";
import { derBitString, DerReader, derSequence, derTags } from "./der.ts";
import { encodeLeaf, readIssuer, serialNumber, type IssuerParts, type LeafNames } from "./leaf-certificate.ts";
import { fingerprintOf, rootBundle, rootsWith, signingRoot, splitPem } from "./root-bundle.ts";
import { algorithmIdentifier, algorithmOf, type SignatureAlgorithm } from "./signature-algorithms.ts";
import type * as X509 from "./x509.ts";

/** The parts of a certificate authority, all in PEM. */
export interface AuthorityMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** The roots that peers trust, one or several. It is the certificate itself if that is self-signed. */
  readonly root: string;
  /** Intermediates between the certificate and the root. */
  readonly chain: string;
  /** Revocation lists, one for each authority of the chain. Absent or empty: none. */
  readonly crl?: string;
}

export interface IssuedCertificate {
  /** In PEM. The leaf comes first. The last element has all roots in one text. */
  readonly chain: readonly string[];
  readonly notAfterMs: number;
}

export interface ServingCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  readonly notAfterMs: number;
}

export interface RootOptions {
  readonly lifetimeMs?: number;
  readonly rsaKeyBits?: number;
}

const msPerSecond = 1000;
const msPerDay = 86_400_000;
const rootLifetimeMs = 3650 * msPerDay;
const rootKeyBits = 2048;
/** Certificates are valid from a little before they are made, because the clocks of machines differ. */
const backdateMs = 120_000;
const maxCommonName = 64;

const signAsync = promisify(sign);
const generateKeys = promisify(generateKeyPair);
const rsaSignature = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };

/** Loaded on demand: it has two hundred modules, and only a control plane that makes a root needs them. */
async function x509(): Promise<typeof X509> {
  return await import("./x509.ts");
}

/** Makes a self-signed authority like istiod's: valid for ten years, RSA because each handshake verifies it quickly. */
export async function createSelfSignedAuthority(
  organization: string,
  clock: Clock,
  options: RootOptions = {},
): Promise<AuthorityMaterial> {
  const { privateKey } = await generateKeys("rsa", { modulusLength: options.rsaKeyBits ?? rootKeyBits });
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectKeyIdentifierExtension } = await x509();
  const extensions = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    new SubjectKeyIdentifierExtension(keyIdentifierOf(createPublicKey(privateKey))),
  ];
  return await selfSigned(
    privateKey,
    { name: [{ O: [organization] }], extensions },
    clock,
    options.lifetimeMs ?? rootLifetimeMs,
  );
}

/** RFC 7093: the first 160 bits of the key's SHA-256. */
function keyIdentifierOf(key: KeyObject): string {
  const parts = new DerReader(key.export({ type: "spki", format: "der" })).inside(derTags.sequence);
  parts.next(derTags.sequence);
  // The first byte of a bit string is the number of unused bits in its last byte.
  return hash("sha256", parts.next(derTags.bitString).contents.subarray(1), "hex").slice(0, keyIdentifierDigits);
}
const keyIdentifierDigits = 40;

/**
 * Renews a self-signed authority for another lifetime. It keeps its key, name, key identifier and limits, so that peers
 * with the old or the new root trust the certificates that it signed. It keeps its other roots too.
 */
export async function renewSelfSignedAuthority(
  { certificate, privateKey, root }: AuthorityMaterial,
  clock: Clock,
  options: RootOptions = {},
): Promise<AuthorityMaterial> {
  const former = splitPem(certificate)[0] ?? "";
  const { ParsedCertificate } = await x509();
  const { subjectName, extensions } = new ParsedCertificate(former);
  // The authority key identifier may contain the serial number of the former certificate.
  const kept = extensions.filter(({ type }) => type !== authorityKeyIdentifier);
  const made = await selfSigned(
    privateKeyOf(privateKey),
    { name: subjectName, extensions: kept },
    clock,
    options.lifetimeMs ?? rootLifetimeMs,
  );
  return {
    ...made,
    root: rootsWith(
      made.certificate,
      splitPem(root)
        .filter((pem) => pem !== former)
        .join(""),
    ),
  };
}
const authorityKeyIdentifier = "2.5.29.35";

async function selfSigned(
  key: KeyObject,
  { name, extensions }: Required<Pick<X509.SelfSignedParams, "name" | "extensions">>,
  clock: Clock,
  lifetimeMs: number,
): Promise<AuthorityMaterial> {
  const nowMs = clock.nowMs();
  const algorithm =
    key.asymmetricKeyType === "ec"
      ? { name: "ECDSA", namedCurve: curves[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? "", hash: "SHA-256" }
      : rsaSignature;
  const publicKey = await webcrypto.subtle.importKey(
    "spki",
    createPublicKey(key).export({ type: "spki", format: "der" }),
    algorithm,
    true,
    ["verify"],
  );
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    key.export({ type: "pkcs8", format: "der" }),
    algorithm,
    true,
    ["sign"],
  );
  const { X509CertificateGenerator } = await x509();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber().toString("hex"),
    name,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + lifetimeMs),
    keys: { publicKey, privateKey: signingKey },
    signingAlgorithm: algorithm,
    extensions,
  });
  const pem = certificate.toString("pem");
  return { certificate: pem, privateKey: exportPrivateKey(key), root: pem, chain: "" };
}

const curves: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

/** Signs certificates for the mesh. Immutable: a changed secret makes a new object. */
export class CertificateAuthority {
  /** All roots that peers must trust, in PEM. The root of its own signatures comes first. */
  readonly root: string;
  /** The SHA-256 fingerprints of these roots in hex. */
  readonly rootFingerprints: readonly string[];
  /** Revocation lists in PEM; empty for none. */
  readonly crl: string;
  /** When the root of its own signatures expires. */
  readonly rootNotAfterMs: number;
  /** When its own certificate expires. This is the root's expiry if it signs with the root itself. */
  readonly notAfterMs: number;
  /** The earliest expiry of all certificates from its own up to the root. */
  readonly #endsMs: number;
  readonly #issuer: IssuerParts;
  readonly #key: KeyObject;
  readonly #algorithm: SignatureAlgorithm;
  readonly #algorithmDer: Buffer;
  readonly #above: readonly string[];
  readonly #clock: Clock;

  private constructor(material: AuthorityMaterial, clock: Clock) {
    const own = new X509Certificate(splitPem(material.certificate)[0] ?? "");
    this.root = rootBundle(material);
    const roots = splitPem(this.root);
    this.rootFingerprints = roots.map(fingerprintOf);
    this.crl = material.crl ?? "";
    this.#issuer = readIssuer(own.raw);
    this.#key = privateKeyOf(material.privateKey);
    this.#algorithm = algorithmOf(this.#key);
    this.#algorithmDer = algorithmIdentifier(this.#algorithm);
    this.#above = [...new Set([...splitPem(material.certificate), ...splitPem(material.chain)])].filter(
      (pem) => !roots.includes(pem),
    );
    this.notAfterMs = own.validToDate.getTime();
    this.rootNotAfterMs = endOf(signingRoot(material) ?? roots[0] ?? "");
    this.#endsMs = Math.min(this.notAfterMs, this.rootNotAfterMs, ...this.#above.map(endOf));
    this.#clock = clock;
  }

  static async load(material: AuthorityMaterial, clock: Clock): Promise<CertificateAuthority> {
    return new CertificateAuthority(material, clock);
  }

  /** Whether there are intermediates between the certificates that it signs and the root. */
  get hasChain(): boolean {
    return this.#above.length > 0;
  }

  /** Signs the key of a request for this identity only. Names in the request are ignored. */
  async signWorkload(csrPem: string, spiffeId: string, ttlSeconds: number): Promise<IssuedCertificate> {
    const { publicKey, hasCommonName } = readCertificateRequest(csrPem);
    // A request with a common name gets one, because some servers check only the common name.
    const commonName = hasCommonName && spiffeId.length <= maxCommonName ? spiffeId : "";
    const leaf = await this.#issue(
      publicKey,
      { kind: "uri", values: [spiffeId], commonName },
      ttlSeconds * msPerSecond,
    );
    return { chain: [leaf.pem, ...this.#above, this.root], notAfterMs: leaf.notAfterMs };
  }

  /** Makes a key and a certificate for one of the control plane's own servers. */
  async issueServing(dnsNames: readonly string[], ttlMs: number): Promise<ServingCertificate> {
    const { publicKey, privateKey } = await generateKeys("ec", { namedCurve: "P-256" });
    const leaf = await this.#issue(
      publicKey.export({ type: "spki", format: "der" }),
      { kind: "dns", values: dnsNames, commonName: "" },
      ttlMs,
    );
    return {
      certificate: [leaf.pem, ...this.#above].join("\n"),
      privateKey: exportPrivateKey(privateKey),
      notAfterMs: leaf.notAfterMs,
    };
  }

  async #issue(
    publicKey: Buffer,
    names: LeafNames,
    ttlMs: number,
  ): Promise<{ readonly pem: string; readonly notAfterMs: number }> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#endsMs)
      throw userError("ca-not-ready", `the authority has expired at ${new Date(this.#endsMs).toISOString()}`, {
        hint: "plug in an authority that is valid",
      });
    // Certificates hold whole seconds.
    const notAfterMs = Math.floor(Math.min(nowMs + ttlMs, this.#endsMs) / msPerSecond) * msPerSecond;
    const signed = encodeLeaf({
      issuer: this.#issuer,
      algorithm: this.#algorithmDer,
      publicKey,
      names,
      notBeforeMs: nowMs - backdateMs,
      notAfterMs,
    });
    const signature = await signAsync(this.#algorithm.hash, signed, this.#key);
    return { pem: pemOf(derSequence(signed, this.#algorithmDer, derBitString(signature))), notAfterMs };
  }
}

function endOf(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}

const pemLine = /.{1,64}/g;

function pemOf(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${(der.toString("base64").match(pemLine) ?? []).join("\n")}\n-----END CERTIFICATE-----\n`;
}

function exportPrivateKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
