import { X509Certificate } from "node:crypto";
import { certificateFingerprint, alternativeNames } from "../../base/index.ts";
import type { PeerGuard } from "../../net/index.ts";
import { peerChain, pemBlocks } from "../../x509/index.ts";

/** A trusted root that may only sign for some trust domains. It is plain data, so threads can exchange it. */
export interface RootRestriction {
  /** The SHA-256 of the root's DER, in lower-case hexadecimal. */
  readonly fingerprint: string;
  readonly trustDomains: readonly string[];
}

/** A trusted root in PEM. Without `trustDomains`, it may sign for all trust domains. */
export interface TrustedRoot {
  readonly pem: string;
  readonly trustDomains?: readonly string[] | undefined;
}

/**
 * Returns a guard that refuses names for which a root of the peer's chain may not sign, or undefined if no root is
 * restricted. The handshake has verified that the chain leads to one of the PEM roots. If it leads to several roots,
 * each of them must be allowed to sign.
 *
 * A trust domain only limits URIs. So, as in Envoy's SPIFFE validator, names of other kinds prove nothing under a
 * restricted root.
 */
export function restrictionGuard(rootsPem: string, restrictions: readonly RootRestriction[]): PeerGuard | undefined {
  if (restrictions.length === 0) return undefined;
  const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
  const domainsOf = new Map(restrictions.map(({ fingerprint, trustDomains }) => [fingerprint, trustDomains]));
  /**
   * Returns the restricted roots to which the chain leads, with their trust domains. Returns undefined if the chain
   * leads to no known root.
   */
  const limitsOf = (certificate: X509Certificate) =>
    peerChain(certificate, roots)?.anchors.flatMap((anchors) => {
      const [root] = anchors;
      const permitted = anchors.map((anchor) => domainsOf.get(certificateFingerprint(anchor)));
      if (root === undefined || permitted.includes(undefined)) return [];
      return { root, trustDomains: permitted.flatMap((domains) => domains ?? []) };
    });
  return {
    refuse: (certificate) => {
      const limits = limitsOf(certificate);
      if (limits === undefined)
        return "the root of the peer's certificate is not known, and some roots may only sign for some trust domains";
      for (const { root, trustDomains } of limits) {
        const fault = nameFault(certificate, trustDomains, root);
        if (fault !== undefined) return fault;
      }
      return undefined;
    },
    provesOnlyUris: (certificate) => limitsOf(certificate)?.length !== 0,
    admitted: () => ({ [Symbol.dispose]: () => undefined }),
  };
}

/** Returns a guard that refuses a peer if one of the two guards refuses it, or undefined if there is neither. */
export function bothGuards(first: PeerGuard | undefined, second: PeerGuard | undefined): PeerGuard | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return {
    refuse: (certificate, peer) => first.refuse(certificate, peer) ?? second.refuse(certificate, peer),
    provesOnlyUris: (certificate) => [first, second].some((guard) => guard.provesOnlyUris?.(certificate) === true),
    admitted: (certificate, peer, close) => {
      const watched = [first.admitted(certificate, peer, close), second.admitted(certificate, peer, close)];
      return {
        [Symbol.dispose]: () => {
          for (const watch of watched) watch[Symbol.dispose]();
        },
      };
    },
  };
}

/**
 * Returns why a restricted root may not sign this certificate, or undefined if it may. The certificate must have
 * exactly one URI, of a permitted trust domain. Names of other kinds must not look like a URI, because some rules
 * compare names of any kind.
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
