import { X509Certificate } from "node:crypto";
import { alternativeNames, transientError } from "../../base/index.ts";
import { TlsContext } from "../../net/index.ts";
import { pemBlocks } from "../../x509/index.ts";
import type { HandshakeRules, WorkloadCertificate } from "./certificate-types.ts";

/**
 * Makes a usable certificate of a CA's answer: leaf first, root or roots last. Refuses a leaf without the identity.
 * Peers with certificates of the additional PEM roots are trusted too, and revoked ones are not.
 */
export function workloadCertificate(
  identity: string,
  privateKeyPem: string,
  chain: readonly string[],
  rootsBesides: readonly string[] = [],
  rules: HandshakeRules = {},
): Omit<WorkloadCertificate, "receivedAtMs"> {
  const issuedRootsPem = chain.at(-1) ?? "";
  const rootsPem = trustedRoots(issuedRootsPem, rootsBesides);
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
    rootsPem,
    issuedRootsPem,
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    serialNumber: leaf.serialNumber,
    context: meshContext({ chainPem, privateKeyPem, rootsPem }, rules),
  };
}

/** The same certificate with other additional roots. */
export function trusting(
  certificate: WorkloadCertificate,
  rootsBesides: readonly string[],
  rules: HandshakeRules = {},
): WorkloadCertificate {
  const rootsPem = trustedRoots(certificate.issuedRootsPem, rootsBesides);
  return rootsPem === certificate.rootsPem
    ? certificate
    : { ...certificate, rootsPem, context: meshContext({ ...certificate, rootsPem }, rules) };
}

/** A certificate as plain data, which one thread can send to another. */
export type CertificateParts = Omit<WorkloadCertificate, "context">;

export function certificateParts({ context: _context, ...parts }: WorkloadCertificate): CertificateParts {
  return parts;
}

export function restoreCertificate(parts: CertificateParts, rules: HandshakeRules = {}): WorkloadCertificate {
  return { ...parts, context: meshContext(parts, rules) };
}

function meshContext(
  { chainPem, privateKeyPem, rootsPem }: Pick<WorkloadCertificate, "chainPem" | "privateKeyPem" | "rootsPem">,
  { revocations, compliance, allowsTls12 }: HandshakeRules,
): TlsContext {
  const guard = revocations?.guard(rootsPem);
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

/** Without additional roots, returns exactly the received text. */
function trustedRoots(issuedPem: string, besides: readonly string[]): string {
  const issued = pemBlocks(issuedPem);
  const bodies = new Set(issued.map((pem) => pem.trim()));
  const added = besides.flatMap(pemBlocks).filter((pem) => !bodies.has(pem.trim()));
  return added.length === 0 ? issuedPem : [...issued, ...added].map((pem) => `${pem.trim()}\n`).join("");
}

/** The URI names of a certificate. */
function uriNames(certificate: X509Certificate): string[] {
  return alternativeNames(certificate.subjectAltName ?? "").flatMap(({ kind, value }) => (kind === "URI" ? value : []));
}
