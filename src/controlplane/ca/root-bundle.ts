import { X509Certificate } from "node:crypto";
import { certificateBlocks, certificateFingerprint } from "../../base/index.ts";

export interface AuthorityChain {
  /** The certificate in PEM. `chain` may contain it again. */
  readonly certificate: string;
  readonly chain: string;
  /** One root or several, in PEM. */
  readonly root: string;
}

/**
 * Joins the authority's roots and the given ones without repetition. The signing root comes first, so that a reader
 * notices when another root begins to sign.
 */
export function rootBundle(authority: AuthorityChain, ...others: readonly string[]): string {
  const roots = splitPem([authority.root, ...others].join("\n"));
  const own = signingRoot(authority);
  const all = [...new Set(own === undefined ? roots : [own, ...roots])];
  const given = splitPem(authority.root);
  // If nothing is added, the text stays unchanged. Revisions that do not support several roots publish this text, and
  // all revisions must publish the same.
  return all.length === given.length && all.every((pem, index) => pem === given[index]) ? authority.root : all.join("");
}

/** The root at the end of the authority's chain. Undefined if none of its roots is there. */
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

/**
 * Puts a self-signed certificate before the published roots, unless it is among them. A renewed certificate replaces
 * its former version, which has the same name and key, and which another control plane may still publish.
 */
export function rootsWith(certificate: string, bundle: string): string {
  const pems = splitPem(bundle);
  const own = splitPem(certificate)[0] ?? "";
  if (bundle === "" || pems.includes(own)) return bundle === "" ? certificate : bundle;
  const anchor = anchorOf(own);
  return [own, ...pems.filter((pem) => anchorOf(pem) !== anchor)].join("");
}

/** The name and the key by which peers identify a root. A renewed root keeps both. */
export function anchorOf(pem: string): string {
  const parsed = parsedPem(pem);
  return parsed === undefined
    ? pem
    : `${parsed.subject}\n${parsed.publicKey.export({ type: "spki", format: "der" }).toString("base64")}`;
}

export function parsedPem(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** The SHA-256 fingerprint of a certificate, in lower-case hex. */
export function fingerprintOf(pem: string): string {
  return certificateFingerprint(new X509Certificate(pem));
}

/** The certificates of a PEM text, each with a line break at its end. */
export function splitPem(text: string): readonly string[] {
  return certificateBlocks(text).map((block) => `${block}\n`);
}
