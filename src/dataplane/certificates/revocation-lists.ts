import { X509Certificate, type KeyObject } from "node:crypto";
import {
  BoundedCache,
  LinkedList,
  messageOf,
  unlisted,
  userError,
  type Clock,
  type Linked,
  type Logger,
} from "../../base/index.ts";
import type { PeerGuard } from "../../net/index.ts";
import { peerChain } from "./peer-chain.ts";
import {
  derOfPem,
  DerReader,
  derTags,
  isSignedBy,
  pemBlocks,
  readCertificate,
  readSigned,
  signatureAlgorithmOf,
  withoutZeros,
} from "../../x509/index.ts";

/** The number of keys for which a list remembers whether they signed it. */
const maxKnownKeys = 10;

interface RevocationList {
  /** The DER of the issuer's name, in hexadecimal. */
  readonly issuer: string;
  readonly serialNumbers: ReadonlySet<string>;
  isSignedBy(key: KeyObject): boolean;
}

interface Admitted extends Linked<Admitted> {
  readonly certificate: X509Certificate;
  readonly roots: readonly X509Certificate[];
  readonly peer: "client" | "server";
  readonly close: (reason: string) => void;
}

/**
 * Revoked certificates, by the rules of upstream's ztunnel. Each certificate of a peer's chain is checked against its
 * issuer's list, on every path to a trusted root. Without a list of the issuer it counts as valid. A list is used as
 * long as it is present, whatever its dates are. Live connections are checked again when the lists change.
 */
export class RevocationLists {
  readonly #onRevoked: (peer: "client" | "server") => void;
  readonly #admitted = new LinkedList<Admitted>();
  #lists: readonly RevocationList[] = [];

  /** `onRevoked` is called for each connection that is refused or ended. */
  constructor(onRevoked: (peer: "client" | "server") => void = () => undefined) {
    this.#onRevoked = onRevoked;
  }

  /** The number of live connections that a new list could end. */
  get watched(): number {
    return this.#admitted.size;
  }

  /**
   * Replaces all lists with those in a PEM text, or with one in DER. An empty input revokes nothing. Throws if a list
   * cannot be read, and changes nothing in that case.
   */
  replace(bytes: Buffer): void {
    this.#lists = listsOf(bytes);
    for (const { certificate, roots, peer, close } of this.#admitted) {
      const reason = this.#refusal(certificate, roots);
      if (reason === undefined) continue;
      this.#onRevoked(peer);
      close(reason);
    }
  }

  /** A guard for handshakes that trust these PEM roots. */
  guard(rootsPem: string): PeerGuard {
    const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
    return {
      refuse: (certificate, peer) => {
        const reason = this.#refusal(certificate, roots);
        if (reason !== undefined) this.#onRevoked(peer);
        return reason;
      },
      admitted: (certificate, peer, close) => {
        const entry: Admitted = { certificate, roots, peer, close, ...unlisted };
        this.#admitted.add(entry);
        return { [Symbol.dispose]: () => void this.#admitted.remove(entry) };
      },
    };
  }

  #refusal(leaf: X509Certificate, roots: readonly X509Certificate[]): string | undefined {
    if (this.#lists.length === 0) return undefined;
    const chain = peerChain(leaf, roots);
    if (chain === undefined)
      return "its certificate cannot be checked for revocation: the issuers of its chain are not known";
    for (const { certificate, issuer } of chain.links) {
      const fault = this.#fault(certificate, issuer);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #fault(certificate: X509Certificate, issuer: X509Certificate): string | undefined {
    const { issuerName, serialNumber } = namesOf(certificate);
    const named = this.#lists.filter((list) => list.issuer === issuerName);
    if (named.length === 0) return undefined;
    // Two authorities may have the same name, for example when one root replaces another.
    const authentic = named.filter((list) => list.isSignedBy(issuer.publicKey));
    if (authentic.length === 0)
      return `the revocation list of "${oneLine(certificate.issuer)}" is not signed by the issuer of the certificate`;
    if (!authentic.some((list) => list.serialNumbers.has(serialNumber))) return undefined;
    return `the certificate ${certificate.serialNumber} of "${oneLine(certificate.subject === "" ? (certificate.subjectAltName ?? "") : certificate.subject)}" is revoked by "${oneLine(certificate.issuer)}"`;
  }
}

export interface RevocationFollowerOptions {
  readonly path: string;
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly revocations: Pick<RevocationLists, "replace">;
  /** Whether the file may be missing. */
  readonly optional?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const listLabel = /^X509 CRL$/;
const beginOfList = "-----BEGIN X509 CRL-----";
const lookEveryMs = 2000;

/**
 * Reads a file of revocation lists now and after each change, until the signal aborts. If the file disappears or cannot
 * be read, the last lists stay in force. `onRead` is called after the first attempt.
 */
export async function followRevocations(
  { path, readFile, revocations, optional, clock, log }: RevocationFollowerOptions,
  signal: AbortSignal,
  onRead: () => void = () => undefined,
): Promise<void> {
  let known: Buffer | undefined;
  let trouble: string | undefined;
  while (!signal.aborted) {
    try {
      const bytes = await readFile(path);
      trouble = undefined;
      if (known === undefined || !bytes.equals(known)) {
        // A file that cannot be read is not tried again until it changes.
        const before = known;
        known = bytes;
        revocations.replace(bytes);
        if (before !== undefined) log.info("the revocation lists have changed", { path });
      }
    } catch (error) {
      const absent = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (trouble !== messageOf(error) && !(absent && optional === true))
        log.warn("the revocation lists cannot be read", { path, error: messageOf(error) });
      trouble = messageOf(error);
    }
    onRead();
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
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
 * The revocation lists of a text in PEM, each with its own first and last line. Throws if there is none, or if one is
 * not complete: text that is not a list, or only the beginning of one, must not replace the lists that are in force.
 */
export function listsInPem(text: string): readonly string[] {
  const lists = text.match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
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

function readList(der: Buffer, which: string): RevocationList {
  try {
    const structure = readSigned(der);
    if (signatureAlgorithmOf(structure) === undefined) throw new RangeError("its signature algorithm is not supported");
    const fields = new DerReader(structure.signed.contents);
    // Lists of version 1 have no version field.
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

/** Reads the rest of a list: the times of this and the next update, entries and extensions. */
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
