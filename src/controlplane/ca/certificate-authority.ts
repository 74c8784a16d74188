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

/** What a certificate authority is made of, all PEM. */
export interface AuthorityMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** What peers trust, one or several; the certificate itself when it is self-signed. */
  readonly root: string;
  /** Intermediates between the certificate and the root. */
  readonly chain: string;
  /** Revocation lists, one of each authority of the chain; absent or empty for none. */
  readonly crl?: string;
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

export interface RootOptions {
  readonly lifetimeMs?: number;
  readonly rsaKeyBits?: number;
}

const msPerSecond = 1000;
const msPerDay = 86_400_000;
const rootLifetimeMs = 3650 * msPerDay;
const rootKeyBits = 2048;
/** Clocks of machines differ: certificates hold from a little before they are made. */
const backdateMs = 120_000;
const maxCommonName = 64;

const signAsync = promisify(sign);
const generateKeys = promisify(generateKeyPair);
const rsaSignature = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };

/** Two hundred modules, for who makes a root: a control plane that finds one does without. */
async function x509(): Promise<typeof X509> {
  return await import("./x509.ts");
}

/** Makes a self-signed authority: RSA, ten years, as istiod does. RSA, as every handshake of the mesh verifies it. */
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
  // The first byte of a bit string says how many bits of the last one do not count.
  return hash("sha256", parts.next(derTags.bitString).contents.subarray(1), "hex").slice(0, keyIdentifierDigits);
}
const keyIdentifierDigits = 40;

/**
 * A self-signed authority for a further lifetime: of the same key, whole name, key identifier and limits, so that what it has signed stays
 * trusted by either. Other roots that it tells to trust stay.
 */
export async function renewSelfSignedAuthority(
  { certificate, privateKey, root }: AuthorityMaterial,
  clock: Clock,
  options: RootOptions = {},
): Promise<AuthorityMaterial> {
  const former = splitPem(certificate)[0] ?? "";
  const { ParsedCertificate } = await x509();
  const { subjectName, extensions } = new ParsedCertificate(former);
  // An authority's identifier may hold the serial number of the former certificate.
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

/** Signs for the mesh. Immutable: a changed secret makes another one. */
export class CertificateAuthority {
  /** All roots that it tells to trust, the one that it signs by first. PEM. */
  readonly root: string;
  /** The same as SHA-256, hex. */
  readonly rootFingerprints: readonly string[];
  /** Revocation lists in PEM; empty for none. */
  readonly crl: string;
  /** When the root that it signs by ends. */
  readonly rootNotAfterMs: number;
  /** When its own certificate ends: the root's, where it signs by the root itself. */
  readonly notAfterMs: number;
  /** The first of the ends of all certificates between what it signs and the root. */
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

  /** Whether there are intermediates between what it signs and the root. */
  get hasChain(): boolean {
    return this.#above.length > 0;
  }

  /** Signs a request's key, for this identity and no other: what the request itself says of names is not looked at. */
  async signWorkload(csrPem: string, spiffeId: string, ttlSeconds: number): Promise<IssuedCertificate> {
    const { publicKey, hasCommonName } = readCertificateRequest(csrPem);
    // Who asks with a common name gets one: some servers look at nothing else.
    const commonName = hasCommonName && spiffeId.length <= maxCommonName ? spiffeId : "";
    const leaf = await this.#issue(
      publicKey,
      { kind: "uri", values: [spiffeId], commonName },
      ttlSeconds * msPerSecond,
    );
    return { chain: [leaf.pem, ...this.#above, this.root], notAfterMs: leaf.notAfterMs };
  }

  /** A key and certificate for a server of ours. */
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
