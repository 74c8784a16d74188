import type { X509Certificate } from "node:crypto";
import { isIssuedBy } from "./signature-algorithms.ts";

/** A certificate of a peer's chain, and a certificate that issued it. */
export interface IssuedBy {
  readonly certificate: X509Certificate;
  readonly issuer: X509Certificate;
}

export interface PeerChain {
  /** Every certificate on a path to a root, each with its issuer. */
  readonly links: readonly IssuedBy[];
  /** The trusted roots at the ends of the paths. The roots of one inner list have the same name and key. */
  readonly anchors: readonly (readonly X509Certificate[])[];
}

/** The maximum number of certificates that a peer may send. Chains of a mesh are shorter. */
const maxSent = 16;

/**
 * All paths from a peer's certificate to trusted roots. Undefined if no path leads to a root, or if the peer sent too
 * many certificates. A peer may send its certificates in any order and unrelated ones among them, so OpenSSL may have
 * verified any of these paths. Like OpenSSL, this prefers a trusted issuer to one that the peer sent.
 */
export function peerChain(leaf: X509Certificate, roots: readonly X509Certificate[]): PeerChain | undefined {
  const sent = sentWith(leaf);
  if (sent.length > maxSent) return undefined;
  const links: IssuedBy[] = [];
  const anchors: (readonly X509Certificate[])[] = [];
  const reached = [leaf];
  const known = new Set([leaf.fingerprint256]);
  for (const certificate of reached) {
    const itself = roots.filter((root) => root.fingerprint256 === certificate.fingerprint256);
    const trusted = itself.length > 0 ? itself : roots.filter((root) => isIssuedBy(certificate, root));
    if (trusted.length > 0) anchors.push(trusted);
    if (itself.length > 0) continue;
    const issuers =
      trusted.length > 0 ? trusted : sent.filter((candidate) => candidate.ca && isIssuedBy(certificate, candidate));
    for (const issuer of issuers) {
      links.push({ certificate, issuer });
      if (trusted.length > 0 || known.has(issuer.fingerprint256)) continue;
      known.add(issuer.fingerprint256);
      reached.push(issuer);
    }
  }
  return anchors.length === 0 ? undefined : { links, anchors };
}

/**
 * The certificates that the peer sent after its own, in their order. Node's `issuerCertificate` leads from each one to
 * the next, even if the next one has not issued it.
 */
function sentWith(leaf: X509Certificate): readonly X509Certificate[] {
  const sent: X509Certificate[] = [];
  for (let next = leaf.issuerCertificate; next !== undefined && sent.length <= maxSent; next = next.issuerCertificate)
    sent.push(next);
  return sent;
}
