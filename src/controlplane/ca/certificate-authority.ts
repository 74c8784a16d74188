import { createPublicKey, generateKeyPair, X509Certificate, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { userError, type Clock } from "../../base/index.ts";
import {
  type AlternativeName,
  authorityKeyIdentifier,
  basicConstraints,
  distinguishedName,
  extendedKeyUsage,
  extensionIds,
  type IssuerParts,
  keyIdentifierOf,
  keyUsage,
  readCertificate,
  readIssuer,
  subjectAltName,
  subjectKeyIdentifier,
  X509Signer,
} from "../../x509/index.ts";
import { privateKeyOf } from "./authority-check.ts";
import { readCertificateRequest } from "./certificate-request.ts";
import { fingerprintOf, rootBundle, rootsWith, signingRoot, splitPem } from "./root-bundle.ts";

/** All parts are in PEM. */
export interface AuthorityMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** One or several roots that peers trust. It is the certificate itself if that is self-signed. */
  readonly root: string;
  /** Intermediates between the certificate and the root. */
  readonly chain: string;
  /** Revocation lists, one for each authority of the chain. Absent or empty means none. */
  readonly crl?: string;
}

export interface IssuedCertificate {
  /** The chain in PEM, with the leaf first. The last element has all roots in one text. */
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
/** How long before its creation a certificate becomes valid, because the clocks of machines differ. */
const backdateMs = 120_000;
const maxCommonName = 64;

const generateKeys = promisify(generateKeyPair);
/** The extensions of every leaf, which serves servers and clients. */
const leafExtensions = [
  keyUsage("digitalSignature", "keyEncipherment"),
  extendedKeyUsage("server", "client"),
  basicConstraints("leaf"),
];

/**
 * Makes a self-signed authority like that of upstream's istiod. It is valid for ten years, and uses RSA, whose
 * signatures are verified quickly in each handshake.
 */
export async function createSelfSignedAuthority(
  organization: string,
  clock: Clock,
  options: RootOptions = {},
): Promise<AuthorityMaterial> {
  const { privateKey } = await generateKeys("rsa", { modulusLength: options.rsaKeyBits ?? rootKeyBits });
  const extensions = [
    basicConstraints("authority"),
    keyUsage("keyCertSign"),
    subjectKeyIdentifier(keyIdentifierOf(createPublicKey(privateKey))),
  ];
  const name = distinguishedName({ organizations: [organization] });
  return await selfSigned(privateKey, { name, extensions }, clock, options.lifetimeMs ?? rootLifetimeMs);
}

/**
 * Renews a self-signed authority for another lifetime. Its key, name, key identifier and limits stay the same, so that
 * peers with the old or the new root trust the certificates that it has signed. Its other roots stay, too.
 */
export async function renewSelfSignedAuthority(
  { certificate, privateKey, root }: AuthorityMaterial,
  clock: Clock,
  options: RootOptions = {},
): Promise<AuthorityMaterial> {
  const former = splitPem(certificate)[0] ?? "";
  const { subject, extensions } = readCertificate(new X509Certificate(former).raw);
  // The authority key identifier may contain the serial number of the previous certificate.
  const kept = [...extensions].filter(([id]) => id !== extensionIds.authorityKeyIdentifier);
  const made = await selfSigned(
    privateKeyOf(privateKey),
    { name: subject, extensions: kept.map(([, { encoded }]) => encoded) },
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

async function selfSigned(
  key: KeyObject,
  { name, extensions }: { readonly name: Buffer; readonly extensions: readonly Buffer[] },
  clock: Clock,
  lifetimeMs: number,
): Promise<AuthorityMaterial> {
  const nowMs = clock.nowMs();
  const certificate = await new X509Signer(key).certificateInPool({
    issuer: name,
    subject: name,
    publicKey: createPublicKey(key).export({ type: "spki", format: "der" }),
    notBeforeMs: nowMs - backdateMs,
    notAfterMs: nowMs + lifetimeMs,
    extensions,
  });
  return { certificate, privateKey: exportPrivateKey(key), root: certificate, chain: "" };
}

/** Signs certificates for the mesh. It is immutable: a changed secret makes a new object. */
export class CertificateAuthority {
  /** All roots that peers must trust, in PEM. The root of its own signatures comes first. */
  readonly root: string;
  /** The SHA-256 fingerprints of these roots, in hex. */
  readonly rootFingerprints: readonly string[];
  /** Revocation lists in PEM. Empty if there are none. */
  readonly crl: string;
  /** When the root expires that verifies the authority's own signatures. */
  readonly rootNotAfterMs: number;
  /** When the signing certificate expires. If the authority signs with the root itself, this is the root's expiry. */
  readonly notAfterMs: number;
  /** The earliest expiry of the authority's own certificate, its root, and the certificates between them. */
  readonly #endsMs: number;
  readonly #issuer: IssuerParts;
  readonly #signer: X509Signer;
  readonly #above: readonly string[];
  readonly #clock: Clock;

  private constructor(material: AuthorityMaterial, clock: Clock) {
    const own = new X509Certificate(splitPem(material.certificate)[0] ?? "");
    this.root = rootBundle(material);
    const roots = splitPem(this.root);
    this.rootFingerprints = roots.map(fingerprintOf);
    this.crl = material.crl ?? "";
    this.#issuer = readIssuer(own.raw);
    this.#signer = new X509Signer(privateKeyOf(material.privateKey));
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

  get hasChain(): boolean {
    return this.#above.length > 0;
  }

  /** Signs the key of a request only for this identity. Names in the request are ignored. */
  async signWorkload(csrPem: string, spiffeId: string, ttlSeconds: number): Promise<IssuedCertificate> {
    const { publicKey, hasCommonName } = readCertificateRequest(csrPem);
    // If the request has a common name, the certificate gets one, too, because some servers check only the common name.
    const commonName = hasCommonName && spiffeId.length <= maxCommonName ? spiffeId : "";
    const leaf = await this.#issue(
      publicKey,
      { commonName, alternatives: [{ uri: spiffeId }] },
      ttlSeconds * msPerSecond,
    );
    return { chain: [leaf.pem, ...this.#above, this.root], notAfterMs: leaf.notAfterMs };
  }

  async issueServing(dnsNames: readonly string[], ttlMs: number): Promise<ServingCertificate> {
    const { publicKey, privateKey } = await generateKeys("ec", { namedCurve: "P-256" });
    const leaf = await this.#issue(
      publicKey.export({ type: "spki", format: "der" }),
      { commonName: "", alternatives: dnsNames.map((dns) => ({ dns })) },
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
    { commonName, alternatives }: LeafNames,
    ttlMs: number,
  ): Promise<{ readonly pem: string; readonly notAfterMs: number }> {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.#endsMs)
      throw userError("ca-not-ready", `the authority expired at ${new Date(this.#endsMs).toISOString()}`, {
        hint: "provide a valid authority",
      });
    // The times in certificates are whole seconds.
    const notAfterMs = Math.floor(Math.min(nowMs + ttlMs, this.#endsMs) / msPerSecond) * msPerSecond;
    const { subject: issuer, keyIdentifier } = this.#issuer;
    const pem = await this.#signer.certificateInPool({
      issuer,
      subject: distinguishedName({ commonName }),
      publicKey,
      notBeforeMs: nowMs - backdateMs,
      notAfterMs,
      extensions: [
        ...leafExtensions,
        ...(keyIdentifier === undefined ? [] : [authorityKeyIdentifier(keyIdentifier)]),
        subjectAltName(alternatives, { critical: true }),
      ],
    });
    return { pem, notAfterMs };
  }
}

interface LeafNames {
  /** The common name. Empty if the certificate has none. */
  readonly commonName: string;
  readonly alternatives: readonly AlternativeName[];
}

function endOf(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}

function exportPrivateKey(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
