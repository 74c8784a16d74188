import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { messageOf, userError } from "../../base/index.ts";
import {
  checkKey,
  completeLists,
  derOfPem,
  isIssuedBy,
  isSignedBy,
  readPathLength,
  readSigned,
  readVersion,
  RevokedCertificates,
} from "../../x509/index.ts";
import { splitPem } from "./root-bundle.ts";

/** All parts are in PEM. */
export interface CheckedAuthority {
  readonly certificate: string;
  readonly privateKey: string;
  readonly root: string;
  readonly chain: string;
  readonly crl?: string;
}

const maxDepth = 16;

/** Throws a user error unless the authority can sign certificates that its own roots trust. Returns warnings. */
export function checkAuthority(authority: CheckedAuthority, nowMs: number): readonly string[] {
  const [first = ""] = splitPem(authority.certificate);
  const certificate = certificateOf(first, "ca-cert.pem");
  if (!certificate.ca) throw bad("ca-cert.pem is not a CA certificate (basicConstraints CA)");
  if (!certificate.checkPrivateKey(privateKeyOf(authority.privateKey)))
    throw bad("ca-key.pem is not the key of ca-cert.pem");
  const roots = splitPem(authority.root).map((pem) => certificateOf(pem, "root-cert.pem"));
  if (roots.length === 0) throw bad("root-cert.pem has no certificate");
  const above = [...splitPem(authority.certificate).slice(1), ...splitPem(authority.chain)].map((pem) =>
    certificateOf(pem, "cert-chain.pem"),
  );
  const doubts: string[] = [];
  checkPath(certificate, above, roots, nowMs, doubts);
  if (authority.crl !== undefined && authority.crl !== "")
    checkRevocationLists(
      authority.crl,
      splitPem(authority.chain).map((pem) => certificateOf(pem, "cert-chain.pem")),
    );
  return doubts;
}

/** Reads an RSA or ECDSA key in PEM, in the form PKCS #8, PKCS #1 or SEC 1. */
export function privateKeyOf(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw userError("bad-ca-secret", "the CA's private key cannot be read: it must be RSA or ECDSA in PEM", {
      cause: error,
    });
  }
  checkKey(key);
  return key;
}

function certificateOf(pem: string, field: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw bad(`${field} contains something that is not a certificate in PEM`, error);
  }
}

function checkPath(
  leaf: X509Certificate,
  above: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number,
  doubts: string[],
): void {
  let certificate = leaf;
  for (let depth = 0; depth <= maxDepth; depth += 1) {
    const current = certificate;
    checkTime(current, nowMs);
    const isRoot = roots.some((root) => root.fingerprint256 === current.fingerprint256);
    const root = isRoot ? current : roots.find((candidate) => isIssuedBy(current, candidate));
    if (root !== undefined) {
      if (root !== current && isOldRoot(root))
        doubts.push(
          `the root "${nameOf(root)}" is an X.509 version 1 certificate, which cannot state that it is a CA: some clients do not accept it`,
        );
      else if (root !== current) checkIssuer(root, "root-cert.pem", depth);
      return checkTime(root, nowMs);
    }
    const next = above.find(
      (candidate) => candidate.fingerprint256 !== current.fingerprint256 && isIssuedBy(current, candidate),
    );
    if (next === undefined)
      throw bad(
        `no certificate in cert-chain.pem or root-cert.pem issued the certificate of "${nameOf(current)}" (issuer "${current.issuer.replaceAll("\n", ", ")}")`,
      );
    checkIssuer(next, "cert-chain.pem", depth);
    certificate = next;
  }
  throw bad(`the chain to the root has more than ${maxDepth} certificates`);
}

/**
 * Throws unless the certificate is that of an authority that may sign here. `below` is the number of intermediates
 * between this certificate and the authority that signs for workloads.
 */
function checkIssuer(certificate: X509Certificate, field: string, below: number): void {
  if (!certificate.ca)
    throw bad(
      `the certificate of "${nameOf(certificate)}" in ${field} is not a CA certificate (basicConstraints CA, keyUsage certSign)`,
    );
  const pathLength = readPathLength(certificate.raw);
  // A path length counts all authorities below the certificate, including the one that signs for workloads.
  if (pathLength !== undefined && below + 1 > pathLength)
    throw bad(
      `the certificate of "${nameOf(certificate)}" in ${field} allows ${pathLength} authorities below it, but there are ${below + 1}`,
    );
}

/**
 * Whether the root is a self-signed certificate of version 1. It cannot declare that it belongs to an authority. Envoy
 * and Go trust it as a root, but not as an intermediate.
 */
function isOldRoot(root: X509Certificate): boolean {
  return readVersion(root.raw) === 1 && isIssuedBy(root, root);
}

function checkTime(certificate: X509Certificate, nowMs: number): void {
  if (certificate.validToDate.getTime() <= nowMs)
    throw bad(`the certificate of "${nameOf(certificate)}" expired at ${certificate.validToDate.toISOString()}`);
  if (certificate.validFromDate.getTime() > nowMs)
    throw bad(
      `the certificate of "${nameOf(certificate)}" is not valid before ${certificate.validFromDate.toISOString()}`,
    );
}

/** The part of a text of revocation lists that can be used, and why the rest cannot. */
export function usableLists(text: string): { readonly lists: string; readonly fault: string | undefined } {
  const fault = listsFault(text);
  if (fault === undefined) return { lists: text, fault };
  const usable = completeLists(text).filter((list) => listsFault(list) === undefined);
  return { lists: usable.map((list) => `${list}\n`).join(""), fault };
}

function listsFault(text: string): string | undefined {
  try {
    // The lists are read by the code that uses them later, so that nothing is accepted here and refused there.
    void new RevokedCertificates(Buffer.from(text));
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Throws unless the text has a revocation list of each of these authorities. A proxy that has lists of only some
 * authorities of a chain trusts no peer.
 */
function checkRevocationLists(text: string, authorities: readonly X509Certificate[]): void {
  const lists = completeLists(text).map((pem) => {
    try {
      return readSigned(derOfPem(pem, /^X509 CRL$/) ?? Buffer.alloc(0));
    } catch (error) {
      throw bad("ca-crl.pem contains something that is not a revocation list", error);
    }
  });
  if (lists.length === 0) throw bad("ca-crl.pem has no revocation list in PEM");
  const missing = authorities.filter((authority) => !lists.some((list) => isSignedBy(list, authority.publicKey)));
  if (missing.length > 0)
    throw bad(
      `ca-crl.pem has no revocation list of ${missing.map((authority) => `"${nameOf(authority)}"`).join(", ")}: each authority of cert-chain.pem needs one`,
    );
  const fault = listsFault(text);
  if (fault !== undefined) throw bad(`ca-crl.pem: ${fault}`);
}

function nameOf(certificate: X509Certificate): string {
  return certificate.subject.replaceAll("\n", ", ");
}

function bad(fault: string, cause?: unknown): Error {
  return userError("bad-ca-secret", fault, cause === undefined ? {} : { cause });
}
