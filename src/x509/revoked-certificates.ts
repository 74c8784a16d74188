import type { KeyObject, X509Certificate } from "node:crypto";
import { BoundedCache, messageOf, userError } from "../base/index.ts";
import { DerReader, derTags } from "./der.ts";
import { peerChain, type PeerChain } from "./peer-chain.ts";
import { derOfPem } from "./pem.ts";
import { readCertificate, withoutZeros } from "./read-certificate.ts";
import { isSignedBy, readSigned, signatureAlgorithmOf } from "./signature-algorithms.ts";

/** For how many keys a list caches whether they have signed it. */
const maxKnownKeys = 10;
const listLabel = /^X509 CRL$/;
const beginOfList = "-----BEGIN X509 CRL-----";

interface RevocationList {
  /** The issuer's name, as the hex of its DER. */
  readonly issuer: string;
  readonly serialNumbers: ReadonlySet<string>;
  isSignedBy(key: KeyObject): boolean;
}

/**
 * Revoked certificates, by the rules of upstream's ztunnel. Each certificate of a peer's chain, on every path to a
 * trusted root, is looked up in its issuer's list. If that list is missing, the certificate counts as valid. A list
 * applies as long as it is present, whatever its dates are.
 */
export class RevokedCertificates {
  readonly #lists: readonly RevocationList[];

  /**
   * Reads the lists of a PEM text, or one list in DER. An empty input revokes nothing. Throws an error if a list cannot
   * be read.
   */
  constructor(bytes: Buffer) {
    this.#lists = listsOf(bytes);
  }

  /**
   * Why the holder of a certificate is refused: a certificate of its chain is revoked, or the chain cannot be checked.
   * Undefined if the holder is accepted.
   */
  refusal(leaf: X509Certificate, roots: readonly X509Certificate[]): string | undefined {
    if (this.#lists.length === 0) return undefined;
    const chain = peerChain(leaf, roots);
    if (chain === undefined)
      return "its certificate cannot be checked for revocation: the issuers of its chain are not known";
    return this.revocationIn(chain);
  }

  /** Like {@link refusal}, for a chain that is already known. */
  revocationIn({ links }: PeerChain): string | undefined {
    if (this.#lists.length === 0) return undefined;
    for (const { certificate, issuer } of links) {
      const fault = this.#fault(certificate, issuer);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #fault(certificate: X509Certificate, issuer: X509Certificate): string | undefined {
    const { issuerName, serialNumber } = namesOf(certificate);
    const named = this.#lists.filter((list) => list.issuer === issuerName);
    if (named.length === 0) return undefined;
    // Two authorities may have the same name, for example when one root replaces another. So use only lists that the
    // issuer's key has signed.
    const authentic = named.filter((list) => list.isSignedBy(issuer.publicKey));
    if (authentic.length === 0)
      return `the revocation list of "${oneLine(certificate.issuer)}" is not signed by the issuer of the certificate`;
    if (!authentic.some((list) => list.serialNumbers.has(serialNumber))) return undefined;
    return `the certificate ${certificate.serialNumber} of "${oneLine(certificate.subject === "" ? (certificate.subjectAltName ?? "") : certificate.subject)}" is revoked by "${oneLine(certificate.issuer)}"`;
  }
}

function listsOf(bytes: Buffer): RevocationList[] {
  if (bytes[0] === derTags.sequence) return [readList(bytes, "the list")];
  const text = bytes.toString("latin1");
  if (text.trim() === "") return [];
  return listsInPem(text).map((list, index) =>
    readList(derOfPem(list, listLabel) ?? Buffer.alloc(0), `list ${index + 1}`),
  );
}

/**
 * The revocation lists of a PEM text, with their markers. Throws an error if the text has no list, or an incomplete
 * one, because such a text must not replace the lists that are in force.
 */
export function listsInPem(text: string): readonly string[] {
  const lists = completeLists(text);
  const begun = text.split(beginOfList).length - 1;
  if (begun > 0 && lists.length === begun) return lists;
  throw userError(
    "tls-material-invalid",
    begun === 0
      ? "the revocation lists cannot be used: there is no X509 CRL in PEM or DER"
      : `the revocation lists cannot be used: ${begun - lists.length} of ${begun} are not complete PEM`,
    { hint: "inspect them with openssl crl -noout -text. An empty file revokes nothing" },
  );
}

/** The complete revocation lists of a PEM text. Leaves out lists without an end marker, and other text. */
export function completeLists(text: string): readonly string[] {
  return text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
}

function readList(der: Buffer, which: string): RevocationList {
  try {
    const structure = readSigned(der);
    if (signatureAlgorithmOf(structure) === undefined) throw new RangeError("its signature algorithm is not supported");
    const fields = new DerReader(structure.signed.contents);
    // Skip the version, which lists of version 1 lack.
    fields.optional(derTags.integer);
    fields.next(derTags.sequence);
    const issuer = fields.next(derTags.sequence).encoded;
    const serialNumbers = readSerialNumbers(fields);
    const known = new BoundedCache<string, boolean>(maxKnownKeys);
    return {
      issuer: issuer.toString("hex"),
      serialNumbers,
      isSignedBy: (key) => {
        const text = key.export({ type: "spki", format: "der" }).toString("base64");
        let answer = known.get(text);
        if (answer === undefined) {
          answer = isSignedBy(structure, key);
          known.set(text, answer);
        }
        return answer;
      },
    };
  } catch (error) {
    throw userError(
      "tls-material-invalid",
      `the revocation lists cannot be used: ${which} is not an X509 CRL (${messageOf(error)})`,
      { cause: error, hint: "inspect it with openssl crl -noout -text" },
    );
  }
}

/** Reads the serial numbers of a list's entries. Skips the dates of the list, and its extensions. */
function readSerialNumbers(fields: DerReader): ReadonlySet<string> {
  const serialNumbers = new Set<string>();
  while (!fields.isAtEnd) {
    const field = fields.next();
    if (field.tag !== derTags.sequence) continue;
    for (const entries = new DerReader(field.contents); !entries.isAtEnd;)
      serialNumbers.add(withoutZeros(entries.inside(derTags.sequence).next(derTags.integer).contents).toString("hex"));
  }
  return serialNumbers;
}

function namesOf(certificate: X509Certificate): { readonly issuerName: string; readonly serialNumber: string } {
  const { issuer, serialNumber } = readCertificate(certificate.raw);
  return { issuerName: issuer.toString("hex"), serialNumber: serialNumber.toString("hex") };
}

function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}
