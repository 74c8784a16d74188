import { X509Certificate } from "node:crypto";
import { alternativeNames } from "../../base/index.ts";
import type { PeerGuard } from "../../net/index.ts";
import { pemBlocks } from "../../x509/index.ts";

/** A trusted root that may only sign for some trust domains. Plain data. */
export interface RootRestriction {
  /** The SHA-256 of the root's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  readonly trustDomains: readonly string[];
}

/** A trusted root in PEM. Without trust domains it may sign for all of them. */
export interface TrustedRoot {
  readonly pem: string;
  readonly trustDomains?: readonly string[] | undefined;
}

/** The number of certificates of a chain to follow. A mesh's chains are shorter. */
const maxDepth = 10;

/** The SHA-256 of a certificate, as in {@link RootRestriction}. */
export function rootFingerprint(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}

/**
 * A guard that refuses the names that no root of the peer's chain may sign. The handshake has verified the chain to one
 * of the PEM roots. Undefined if no root is restricted.
 */
export function restrictionGuard(rootsPem: string, restrictions: readonly RootRestriction[]): PeerGuard | undefined {
  if (restrictions.length === 0) return undefined;
  const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
  const domainsOf = new Map(restrictions.map(({ fingerprint, trustDomains }) => [fingerprint, trustDomains]));
  return {
    refuse: (certificate) => {
      const anchors = anchorsOf(certificate, roots);
      const permitted = anchors.map((root) => domainsOf.get(rootFingerprint(root)));
      if (permitted.includes(undefined)) return undefined;
      const [root] = anchors;
      if (root === undefined) return "the root of the peer's certificate is not known, and some roots are restricted";
      const trustDomains = permitted.flatMap((domains) => domains ?? []);
      return nameFault(certificate, trustDomains, root);
    },
    admitted: () => ({ [Symbol.dispose]: () => undefined }),
  };
}

/** A guard that refuses whom one of the guards refuses. */
export function allGuards(...guards: readonly (PeerGuard | undefined)[]): PeerGuard | undefined {
  const [first, ...others] = guards.filter((guard) => guard !== undefined);
  return others.reduce<PeerGuard | undefined>(
    (all, guard) => (all === undefined ? guard : bothGuards(all, guard)),
    first,
  );
}

function bothGuards(one: PeerGuard, other: PeerGuard): PeerGuard {
  return {
    refuse: (certificate, peer) => one.refuse(certificate, peer) ?? other.refuse(certificate, peer),
    admitted: (certificate, peer, close) => {
      const watched = [one.admitted(certificate, peer, close), other.admitted(certificate, peer, close)];
      return {
        [Symbol.dispose]: () => {
          for (const each of watched) each[Symbol.dispose]();
        },
      };
    },
  };
}

/**
 * The trusted roots that the chain of a peer ends at. Like OpenSSL, prefers a trusted issuer to one that the peer sent.
 * They are several only if they have the same name and key.
 */
function anchorsOf(leaf: X509Certificate, roots: readonly X509Certificate[]): readonly X509Certificate[] {
  let current = leaf;
  for (let depth = 0; depth < maxDepth; depth += 1) {
    const certificate = current;
    const anchors = roots.filter(
      (root) =>
        root.fingerprint256 === certificate.fingerprint256 ||
        (certificate.checkIssued(root) && certificate.verify(root.publicKey)),
    );
    if (anchors.length > 0) return anchors;
    const sent = certificate.issuerCertificate;
    if (sent?.ca !== true || !certificate.checkIssued(sent) || !certificate.verify(sent.publicKey)) return [];
    current = sent;
  }
  return [];
}

/**
 * A restricted root signs SPIFFE certificates: exactly one URI, of a permitted trust domain. Other kinds of names may
 * not look like a URI, because some rules compare names of any kind.
 */
function nameFault(
  certificate: X509Certificate,
  trustDomains: readonly string[],
  root: X509Certificate,
): string | undefined {
  const names = alternativeNames(certificate.subjectAltName ?? "");
  const uris = names.flatMap(({ kind, value }) => (kind === "URI" ? value : []));
  const [uri = ""] = uris;
  const isPermitted =
    uris.length === 1 &&
    trustDomains.some((domain) => uri.startsWith(`spiffe://${domain}/`)) &&
    !names.some(({ kind, value }) => kind !== "URI" && value.includes("://"));
  if (isPermitted) return undefined;
  const held = names.length === 0 ? "unidentified" : names.map(({ value }) => value).join(", ");
  return `the peer is ${held}, but the root "${root.subject.replaceAll("\n", ", ")}" may only sign for ${trustDomains.join(", ")}`;
}
