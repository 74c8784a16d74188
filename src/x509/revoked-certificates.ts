import type { KeyObject, X509Certificate } from "node:crypto";
import { BoundedCache, messageOf, userError } from "../base/index.ts";
import { DerReader, derTags } from "./der.ts";
import { peerChain, type PeerChain } from "./peer-chain.ts";
import { derOfPem } from "./pem.ts";
import { readCertificate, withoutZeros } from "./read-certificate.ts";
import { isSignedBy, readSigned, signatureAlgorithmOf } from "./signature-algorithms.ts";

/** The number of keys for which a list remembers whether they signed it. */
const maxKnownKeys = 10;
const listLabel = /^X509 CRL$/;
const beginOfList = "-----BEGIN X509 CRL-----";

interface RevocationList {
  /** The DER of the issuer's name, in hexadecimal. */
  readonly issuer: string;
  readonly serialNumbers: ReadonlySet<string>;
  isSignedBy(key: KeyObject): boolean;
}

/**
 * Revoked certificates, by the rules of upstream's ztunnel. Each certificate of a peer's chain is checked against its
 * issuer's list, on every path to a trusted root. Without a list of its issuer, a certificate is valid. A list is used
 * as long as it is present, whatever its dates are.
 */
export class RevokedCertificates {
  readonly #lists: readonly RevocationList[];

  /**
   * Reads the lists of a PEM text, or one in DER. An empty input revokes nothing. Throws if a list cannot be read.
   */
  constructor(bytes: Buffer) {
    this.#lists = listsOf(bytes);
  }

  /**
   * Why the holder of a certificate is refused: its chain has a revoked certificate, or cannot be checked. Undefined if
   * it is accepted.
   */
  refusal(leaf: X509Certificate, roots: readonly X509Certificate[]): string | undefined {
    if (this.#lists.length === 0) return undefined;
    const chain = peerChain(leaf, roots);
    if (chain === undefined)
      return "its certificate cannot be checked for revocation: the issuers of its chain are not known";
    return this.revocationIn(chain);
  }

  /** Why the holder of a chain is refused. Undefined if no certificate of the chain is revoked. */
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
    // Use only lists that the issuer's key has signed: two authorities may have the same name, for example when one
    // root replaces another.
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
 * The revocation lists of a PEM text, each with its PEM markers. Throws if the text contains no list or an incomplete
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

/**
 * The complete revocation lists of a PEM text. Leaves out lists without an end marker, and any text around the lists.
 */
export function completeLists(text: string): readonly string[] {
  return text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
}

function readList(der: Buffer, which: string): RevocationList {
  try {
    const structure = readSigned(der);
    if (signatureAlgorithmOf(structure) === undefined) throw new RangeError("its signature algorithm is not supported");
    const fields = new DerReader(structure.signed.contents);
    // Skip the version, which lists of version 1 do not have.
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

/** Reads the serial numbers of a list's entries. Skips the times of this and the next update, and the extensions. */
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
