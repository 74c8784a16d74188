import { X509Certificate } from "node:crypto";

/** What the roots of an authority are told by. */
export interface AuthorityChain {
  /** PEM; `chain` may repeat it. */
  readonly certificate: string;
  readonly chain: string;
  /** PEM, one root or several. */
  readonly root: string;
}

/** The authority's own root first, then its other ones and those given, each once: so that who reads it sees when another one signs. */
export function rootBundle(authority: AuthorityChain, ...others: readonly string[]): string {
  const roots = splitPem([authority.root, ...others].join("\n"));
  const own = signingRoot(authority);
  const all = [...new Set(own === undefined ? roots : [own, ...roots])];
  const given = splitPem(authority.root);
  // Nothing to add: to the letter as it is, as revisions that know of no bundles tell it too.
  return all.length === given.length && all.every((pem, index) => pem === given[index]) ? authority.root : all.join("");
}

/** The root that the authority's certificate ends at; undefined where it is none of its roots. */
export function signingRoot({ certificate, chain, root }: AuthorityChain): string | undefined {
  const roots = splitPem(root);
  const above = [...splitPem(certificate), ...splitPem(chain)];
  const itself = above.find((pem) => roots.includes(pem));
  if (itself !== undefined) return itself;
  const tops = above.map((pem) => new X509Certificate(pem));
  return roots.find((pem) => {
    const candidate = new X509Certificate(pem);
    return tops.some((top) => top.checkIssued(candidate) && top.verify(candidate.publicKey));
  });
}

/** The roots that are told, and a self-signed certificate before them: one that was made anew stands for its former self, of the same name and key, which other control planes may leave where it was. */
export function rootsWith(certificate: string, told: string): string {
  const pems = splitPem(told);
  const own = splitPem(certificate)[0] ?? "";
  if (told === "" || pems.includes(own)) return told === "" ? certificate : told;
  const anchor = anchorOf(own);
  return [own, ...pems.filter((pem) => anchorOf(pem) !== anchor)].join("");
}

/** What peers know a root by. */
function anchorOf(pem: string): string {
  const parsed = parsedPem(pem);
  return parsed === undefined
    ? pem
    : `${parsed.subject}\n${parsed.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
}

/** Undefined for what is no certificate. */
export function parsedPem(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** SHA-256 of a certificate, hex, lower case. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** The certificates of a PEM text, each with its own armour. */
export function splitPem(text: string): readonly string[] {
  return (text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => `${pem}\n`);
}
