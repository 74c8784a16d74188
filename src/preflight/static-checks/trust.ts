import { X509Certificate } from "node:crypto";
import { certificateBlocks, certificateFingerprint } from "../../base/index.ts";
import { named, type Finding, type TrustReport } from "../report.ts";

/** What the check of trust needs. A PEM text may contain several certificates. */
export interface TrustInput {
  readonly fromNamespace: string;
  readonly toNamespace: string;
  readonly fromMesh: MeshTrust;
  readonly toMesh: MeshTrust;
  /**
   * The roots in the Secrets `cacerts` and `istio-ca-secret`, by namespace. Undefined if the user may not read them.
   */
  readonly authorities: ReadonlyMap<string, AuthoritySecrets> | undefined;
  /** The roots in the ConfigMap `istio-ca-root-cert`, by namespace. All pods of the namespace trust them. */
  readonly distributed: ReadonlyMap<string, string>;
}

export interface MeshTrust {
  readonly trustDomain: string;
  readonly aliases: readonly string[];
}

export interface AuthoritySecrets {
  /** The root in the Secret `cacerts`, which wins if the Secret exists. */
  readonly pluggedIn?: string;
  readonly selfSigned?: string;
}

/**
 * Compares the roots that proxies of the old revision trust with the root with which the new control plane signs.
 * Compares the trust domains too.
 */
export function checkTrust(input: TrustInput): { readonly report: TrustReport; readonly findings: readonly Finding[] } {
  const { fromMesh, toMesh, distributed, fromNamespace } = input;
  const distributedRoots = fingerprints(distributed.get(fromNamespace) ?? "");
  const [signing, next] = [authorityOf(input, input.fromNamespace), authorityOf(input, input.toNamespace)];
  const from = {
    ...fromMesh,
    rootFingerprints: distributedRoots.length > 0 ? distributedRoots : signing.roots,
    source: distributedRoots.length > 0 ? `ConfigMap ${fromNamespace}/istio-ca-root-cert` : signing.source,
  };
  const to = { ...toMesh, rootFingerprints: next.roots, source: next.source };
  const staleNamespaces = [...distributed]
    .filter(([, pem]) => !sameSet(fingerprints(pem), from.rootFingerprints))
    .map(([namespace]) => namespace);
  const isKnown = from.rootFingerprints.length > 0 && to.rootFingerprints.length > 0;
  const report: TrustReport = {
    rootsAgree: !isKnown || sameSet(from.rootFingerprints, to.rootFingerprints),
    trustDomainsAgree: fromMesh.trustDomain === toMesh.trustDomain,
    from,
    to,
    staleNamespaces: staleNamespaces.toSorted(),
  };
  return { report, findings: [...rootFindings(report, input), ...domainFindings(report), ...staleFindings(report)] };
}

function authorityOf(
  { authorities }: TrustInput,
  namespace: string,
): { readonly roots: readonly string[]; readonly source: string } {
  const own = authorities?.get(namespace);
  if (own?.pluggedIn !== undefined)
    return { roots: fingerprints(own.pluggedIn), source: `Secret ${namespace}/cacerts` };
  if (own?.selfSigned !== undefined)
    return { roots: fingerprints(own.selfSigned), source: `Secret ${namespace}/istio-ca-secret` };
  return {
    roots: [],
    source:
      authorities === undefined
        ? "reading Secrets is not allowed"
        : `namespace ${namespace} has none, so istiod would create a new root`,
  };
}

function rootFindings({ from, to, rootsAgree }: TrustReport, { authorities, distributed }: TrustInput): Finding[] {
  if (authorities === undefined) {
    return [
      {
        severity: "warning",
        area: "trust",
        message: "the root that the new control plane would sign with is unknown: reading its Secrets is not allowed",
        hint: "allow get on secrets cacerts and istio-ca-secret, or compare by hand: serin proxy-config rootca-compare",
      },
    ];
  }
  if (from.rootFingerprints.length === 0)
    return distributed.size === 0
      ? []
      : [{ severity: "warning", area: "trust", message: `the old revision's root cannot be read from ${from.source}` }];
  if (to.rootFingerprints.length === 0) {
    return [
      {
        severity: "blocked",
        area: "trust",
        message: `the new control plane would sign with a root of its own: ${to.source}. Old and new proxies would refuse each other`,
        hint: `copy the Secret of ${from.source} to the namespace of the new control plane first`,
      },
    ];
  }
  if (rootsAgree) return [];
  const isBundle =
    from.rootFingerprints.every((root) => to.rootFingerprints.includes(root)) ||
    to.rootFingerprints.every((root) => from.rootFingerprints.includes(root));
  if (isBundle)
    return [
      {
        severity: "warning",
        area: "trust",
        message: `the roots overlap, which is normal while a root is rotated: ${from.source} has ${from.rootFingerprints.length}, ${to.source} ${to.rootFingerprints.length}`,
        hint: "finish the rotation first, or continue with both roots distributed",
      },
    ];
  return [
    {
      severity: "blocked",
      area: "trust",
      message: `the roots differ: proxies trust ${short(from.rootFingerprints)} (${from.source}), the new control plane would sign with ${short(to.rootFingerprints)} (${to.source}). Handshakes between old and new proxies would fail`,
      hint: "rotate the root first, with both roots in the bundle, and plan again",
    },
  ];
}

function domainFindings({ from, to }: TrustReport): Finding[] {
  if (from.trustDomain === to.trustDomain) return [];
  const known = to.aliases.includes(from.trustDomain) && from.aliases.includes(to.trustDomain);
  const message = `the trust domains differ: ${from.trustDomain} now, ${to.trustDomain} in the new revision`;
  if (known)
    return [
      {
        severity: "warning",
        area: "trust",
        message: `${message}; each has the other as an alias`,
        hint: "policies that name principals of the old domain work as long as the alias exists",
      },
    ];
  return [
    {
      severity: "blocked",
      area: "trust",
      message: `${message}. Policies that name principals would deny requests that they allow now`,
      hint: `set trustDomain: ${from.trustDomain} in the new revision's mesh config, or make each domain an alias of the other first (trustDomainAliases)`,
    },
  ];
}

function staleFindings({ staleNamespaces, from }: TrustReport): Finding[] {
  if (staleNamespaces.length === 0) return [];
  return [
    {
      severity: "warning",
      area: "trust",
      message: `${staleNamespaces.length} namespace${staleNamespaces.length === 1 ? "" : "s"} distribute another root than ${from.source}`,
      ...named(staleNamespaces.map((name) => `ConfigMap ${name}/istio-ca-root-cert`)),
      hint: "the proxies of their pods may not trust the mesh: find out why the control plane does not write these ConfigMaps",
    },
  ];
}

function short(fingerprint: readonly string[]): string {
  return fingerprint.map((digest) => digest.slice(0, 16)).join(", ");
}

function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((digest) => right.includes(digest));
}

/** The SHA-256 of each certificate in a PEM text. Skips blocks that are no certificate. */
export function fingerprints(pem: string): string[] {
  return certificateBlocks(pem).flatMap((block) => {
    try {
      return [certificateFingerprint(new X509Certificate(block))];
    } catch {
      return [];
    }
  });
}
