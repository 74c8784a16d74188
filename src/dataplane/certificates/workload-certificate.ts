import { X509Certificate } from "node:crypto";
import { certificateFingerprint, alternativeNames, transientError, jsonEqual } from "../../base/index.ts";
import { TlsContext } from "../../net/index.ts";
import { pemBlocks } from "../../x509/index.ts";
import type { HandshakeRules, WorkloadCertificate } from "./certificate-types.ts";
import { bothGuards, restrictionGuard, type RootRestriction, type TrustedRoot } from "./root-restrictions.ts";

/**
 * Makes a usable certificate from a CA's answer, which has the leaf first and the root or roots last. Throws if the
 * leaf does not have the identity. Peers with certificates of the additional roots are trusted too. Peers with revoked
 * certificates are refused.
 */
export function workloadCertificate(
  identity: string,
  privateKeyPem: string,
  chain: readonly string[],
  rootsBesides: readonly TrustedRoot[] = [],
  rules: HandshakeRules = {},
): Omit<WorkloadCertificate, "receivedAtMs"> {
  const issuedRootsPem = chain.at(-1) ?? "";
  const trust = trustedRoots(issuedRootsPem, rootsBesides);
  const { rootsPem } = trust;
  const own = chain.slice(0, -1).flatMap(pemBlocks);
  const leafPem = own[0];
  if (leafPem === undefined || pemBlocks(rootsPem).length === 0) {
    throw transientError(
      "certificate-refused",
      `the CA returned ${chain.length} certificate(s) for ${identity}, expected a leaf and a root`,
    );
  }
  const leaf = new X509Certificate(leafPem);
  if (!uriNames(leaf).includes(identity)) {
    throw transientError(
      "certificate-refused",
      `the CA returned a certificate for "${leaf.subjectAltName ?? ""}", expected ${identity}`,
    );
  }
  const chainPem = own.join("");
  return {
    identity,
    privateKeyPem,
    chainPem,
    ...trust,
    issuedRootsPem,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    serialNumber: leaf.serialNumber,
    context: meshContext({ chainPem, privateKeyPem, ...trust }, rules),
  };
}

/** Returns the certificate with other additional roots, or the same object if they change nothing. */
export function trusting(
  certificate: WorkloadCertificate,
  rootsBesides: readonly TrustedRoot[],
  rules: HandshakeRules = {},
): WorkloadCertificate {
  const trust = trustedRoots(certificate.issuedRootsPem, rootsBesides);
  return trust.rootsPem === certificate.rootsPem && jsonEqual(trust.restrictions, certificate.restrictions)
    ? certificate
    : { ...certificate, ...trust, context: meshContext({ ...certificate, ...trust }, rules) };
}

/** A certificate as plain data, which one thread can send to another. */
export type CertificateParts = Omit<WorkloadCertificate, "context">;

export function certificateParts({ context: _context, ...parts }: WorkloadCertificate): CertificateParts {
  return parts;
}

/** Makes a certificate from its parts, with a new TLS context that follows these rules. */
export function restoreCertificate(parts: CertificateParts, rules: HandshakeRules = {}): WorkloadCertificate {
  return { ...parts, context: meshContext(parts, rules) };
}

function meshContext(
  {
    chainPem,
    privateKeyPem,
    rootsPem,
    restrictions,
  }: Pick<WorkloadCertificate, "chainPem" | "privateKeyPem" | "rootsPem" | "restrictions">,
  { revocations, compliance, allowsTls12 }: HandshakeRules,
): TlsContext {
  const guard = bothGuards(revocations?.guard(rootsPem), restrictionGuard(rootsPem, restrictions));
  return TlsContext.create({
    certificateChain: chainPem,
    privateKey: privateKeyPem,
    roots: rootsPem,
    profile: "mesh",
    ...(allowsTls12 === true ? { minVersion: "TLSv1.2" as const, aesGcmOnly: true } : {}),
    compliance,
    ...(guard === undefined ? {} : { guard }),
  });
}

/**
 * Returns the roots to trust, and the restrictions of those that may only sign for some trust domains. The roots that
 * came with the certificate may sign for all trust domains. Without additional roots, `rootsPem` is exactly the
 * received text.
 */
function trustedRoots(
  issuedPem: string,
  besides: readonly TrustedRoot[],
): { readonly rootsPem: string; readonly restrictions: readonly RootRestriction[] } {
  const issued = pemBlocks(issuedPem);
  const bodies = new Set(issued.map((pem) => pem.trim()));
  const added = besides
    .flatMap(({ pem, trustDomains }) => pemBlocks(pem).map((block) => ({ pem: block.trim(), trustDomains })))
    .filter(({ pem }) => !bodies.has(pem));
  if (added.length === 0) return { rootsPem: issuedPem, restrictions: [] };
  return {
    rootsPem: [...issued.map((pem) => pem.trim()), ...added.map(({ pem }) => pem)].map((pem) => `${pem}\n`).join(""),
    restrictions: added.flatMap(({ pem, trustDomains }) =>
      trustDomains === undefined
        ? []
        : [{ fingerprint: certificateFingerprint(new X509Certificate(pem)), trustDomains }],
    ),
  };
}

function uriNames(certificate: X509Certificate): string[] {
  return alternativeNames(certificate.subjectAltName ?? "").flatMap(({ kind, value }) => (kind === "URI" ? value : []));
}
