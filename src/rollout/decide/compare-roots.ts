export interface RootCertificate {
  /** SHA-256 of the certificate, hex, lower case. */
  readonly fingerprint: string;
  /** The certificate's subject. Empty if only the fingerprint is known. */
  readonly subject: string;
  /** The expiry in RFC 3339. Empty if unknown. */
  readonly notAfter: string;
}

export interface RevisionRoots {
  readonly revision: string;
  readonly trustDomain: string;
  readonly trustDomainAliases: readonly string[];
  /**
   * The roots of the certificates that the control plane signs: one root, or several while its replicas differ. Empty
   * means unknown.
   */
  readonly signing: readonly RootCertificate[];
  /** All roots that the control plane makes its data planes trust. Empty means unknown. */
  readonly trusted: readonly RootCertificate[];
  /** Why a fact is unknown. Empty if all facts are known. */
  readonly unknown: string;
}

export interface RootComparison {
  readonly compatible: boolean;
  readonly problems: readonly string[];
  /** Further warnings: roots that expire soon. */
  readonly notes: readonly string[];
}

const dayMs = 86_400_000;
const soonDays = 30;

/**
 * Whether data planes of two revisions can verify each other: each must trust the root of the other's certificates, and
 * accept the other's trust domain as its own. An unknown fact is a problem, and never counts as compatible.
 */
export function compareRoots(from: RevisionRoots, to: RevisionRoots, nowMs: number): RootComparison {
  const problems = [
    ...trustProblems(from, to),
    ...trustProblems(to, from),
    ...domainProblems(from, to),
    ...expiryProblems([from, to], nowMs),
  ];
  const soon = signingRoots([from, to]).filter(
    ({ notAfter }) => notAfter !== "" && daysLeft(notAfter, nowMs) <= soonDays && daysLeft(notAfter, nowMs) > 0,
  );
  return {
    compatible: problems.length === 0,
    problems,
    notes: soon.map(
      (root) =>
        `root ${describeRoot(root)} expires in ${Math.floor(daysLeft(root.notAfter, nowMs))} days, at ${root.notAfter}`,
    ),
  };
}

export function describeRoot({ subject, fingerprint }: RootCertificate): string {
  const digest = `sha256 ${fingerprint.slice(0, 12)}…`;
  return subject === "" ? digest : `${subject} (${digest})`;
}

function trustProblems(truster: RevisionRoots, signer: RevisionRoots): string[] {
  if (truster.trusted.length === 0)
    return [`the roots that ${truster.revision} tells its data planes to trust are not known${because(truster)}`];
  if (signer.signing.length === 0)
    return [`the root that ${signer.revision} signs with is not known${because(signer)}`];
  return signer.signing
    .filter(({ fingerprint }) => !truster.trusted.some((trusted) => trusted.fingerprint === fingerprint))
    .map(
      (root) =>
        `${signer.revision} signs with root ${describeRoot(root)}, which data planes of ${truster.revision} do not trust (they trust ${truster.trusted.map(describeRoot).join(", ")}): give both revisions the same cacerts, or let ${truster.revision} trust both roots first`,
    );
}

function because({ unknown }: RevisionRoots): string {
  return unknown === "" ? "" : `: ${unknown}`;
}

function domainProblems(from: RevisionRoots, to: RevisionRoots): string[] {
  if (from.trustDomain === to.trustDomain) return [];
  const missing = [
    [from, to],
    [to, from],
  ].flatMap(([revision, other]) =>
    revision === undefined || other === undefined || revision.trustDomainAliases.includes(other.trustDomain)
      ? []
      : [`meshConfig.trustDomainAliases of ${revision.revision} must name ${other.trustDomain}`],
  );
  if (missing.length === 0) return [];
  return [
    `${from.revision} has trust domain ${from.trustDomain}, ${to.revision} has ${to.trustDomain}: ${missing.join(", and ")}, or both must have the same trustDomain`,
  ];
}

function expiryProblems(revisions: readonly RevisionRoots[], nowMs: number): string[] {
  return signingRoots(revisions).flatMap((root) =>
    root.notAfter !== "" && daysLeft(root.notAfter, nowMs) <= 0
      ? [`root ${describeRoot(root)} expired at ${root.notAfter}`]
      : [],
  );
}

function signingRoots(revisions: readonly RevisionRoots[]): RootCertificate[] {
  return [
    ...new Map(revisions.flatMap(({ signing }) => signing.map((root) => [root.fingerprint, root] as const))).values(),
  ];
}

function daysLeft(notAfter: string, nowMs: number): number {
  return (Date.parse(notAfter) - nowMs) / dayMs;
}
