import { verify, X509Certificate, type KeyObject } from "node:crypto";
import { messageOf, userError, type Clock, type Logger } from "../../base/index.ts";
import type { PeerGuard } from "../../net/index.ts";
import { children, content, objectIdentifier, pemBlocks, tag, unpem } from "./der.ts";

/** The signatures that lists may have, by the DER of their identifier; null where the key's own algorithm says the hash. */
const hashes = new Map<string, string | null>(
  (
    [
      ["1.2.840.113549.1.1.11", "sha256"],
      ["1.2.840.113549.1.1.12", "sha384"],
      ["1.2.840.113549.1.1.13", "sha512"],
      ["1.2.840.10045.4.3.2", "sha256"],
      ["1.2.840.10045.4.3.3", "sha384"],
      ["1.2.840.10045.4.3.4", "sha512"],
      ["1.3.101.112", null],
    ] as const
  ).map(([oid, hash]) => [objectIdentifier(oid).toString("hex"), hash]),
);
/** Certificates of a chain that are looked at; longer ones are no chain of a mesh. */
const maxDepth = 10;
const versionTag = 0xa0;

interface RevocationList {
  /** DER of the issuer's name, hex. */
  readonly issuer: string;
  readonly serialNumbers: ReadonlySet<string>;
  isSignedBy(key: KeyObject): boolean;
}

interface Admitted {
  readonly certificate: X509Certificate;
  readonly roots: readonly X509Certificate[];
  readonly peer: "client" | "server";
  readonly close: (reason: string) => void;
}

/**
 * Certificates that their authorities have taken back, by upstream ztunnel's rules: each certificate of a peer's chain is looked up
 * in the list of who issued it. Without a list of an authority its certificates stand, and a list counts for as long as it is there,
 * whatever its dates say. Connections that live are looked at again whenever the lists change.
 */
export class RevocationLists {
  readonly #onRevoked: (peer: "client" | "server") => void;
  readonly #admitted = new Set<Admitted>();
  #lists: readonly RevocationList[] = [];

  /** `onRevoked` is told of each connection that is refused or ended. */
  constructor(onRevoked: (peer: "client" | "server") => void = () => undefined) {
    this.#onRevoked = onRevoked;
  }

  /** Connections that would be ended by a list. */
  get watched(): number {
    return this.#admitted.size;
  }

  /** Takes the place of all lists: a PEM text of any number, or one in DER; an empty one revokes nobody. Throws where one cannot be read, and changes nothing then. */
  replace(bytes: Buffer): void {
    this.#lists = listsOf(bytes);
    for (const { certificate, roots, peer, close } of this.#admitted) {
      const reason = this.#refusal(certificate, roots);
      if (reason === undefined) continue;
      this.#onRevoked(peer);
      close(reason);
    }
  }

  /** For handshakes that trust these roots, in PEM. */
  guard(rootsPem: string): PeerGuard {
    const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
    return {
      refuse: (certificate, peer) => {
        const reason = this.#refusal(certificate, roots);
        if (reason !== undefined) this.#onRevoked(peer);
        return reason;
      },
      admitted: (certificate, peer, close) => {
        const one: Admitted = { certificate, roots, peer, close };
        this.#admitted.add(one);
        return { [Symbol.dispose]: () => void this.#admitted.delete(one) };
      },
    };
  }

  #refusal(leaf: X509Certificate, roots: readonly X509Certificate[]): string | undefined {
    if (this.#lists.length === 0) return undefined;
    let current = leaf;
    for (let depth = 0; depth < maxDepth; depth += 1) {
      const issuer = issuerOf(current, roots);
      // A root is nobody's to revoke but the mesh's own, which stops to trust it.
      if (issuer === undefined || issuer.fingerprint256 === current.fingerprint256) return undefined;
      const fault = this.#fault(current, issuer);
      if (fault !== undefined) return fault;
      if (roots.some(({ fingerprint256 }) => fingerprint256 === issuer.fingerprint256)) return undefined;
      current = issuer;
    }
    return undefined;
  }

  #fault(certificate: X509Certificate, issuer: X509Certificate): string | undefined {
    const { issuerName, serialNumber } = namesOf(certificate);
    const named = this.#lists.filter((list) => list.issuer === issuerName);
    if (named.length === 0) return undefined;
    // Two authorities may have one name, as when a root takes the place of another.
    const authentic = named.filter((list) => list.isSignedBy(issuer.publicKey));
    if (authentic.length === 0)
      return `the revocation list of "${oneLine(certificate.issuer)}" is not signed by who issued the certificate`;
    if (!authentic.some((list) => list.serialNumbers.has(serialNumber))) return undefined;
    return `the certificate ${certificate.serialNumber} of "${oneLine(certificate.subject === "" ? (certificate.subjectAltName ?? "") : certificate.subject)}" is revoked by "${oneLine(certificate.issuer)}"`;
  }
}

export interface RevocationFollowerOptions {
  readonly path: string;
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly revocations: Pick<RevocationLists, "replace">;
  /** There need not be such a file. */
  readonly optional?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 2000;

/** Reads a file of revocation lists now, and whenever it changes, until the signal. What was read last stays in force when it is gone or cannot be read. `onRead` is called after the first attempt. */
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
        // What cannot be read is not tried again until it changes.
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
  if (bytes.length === 0) return [];
  if (bytes[0] === tag.sequence) return [readList(bytes, "the list")];
  const blocks = pemBlocks(bytes.toString("latin1")).filter((block) => block.startsWith("-----BEGIN X509 CRL-----"));
  return blocks.map((block, index) => readList(unpem(block), `list ${index + 1}`));
}

function readList(der: Buffer, which: string): RevocationList {
  try {
    const [signed = missing(), algorithm = missing(), signature = missing()] = children(der);
    const fields = children(signed);
    // The version is absent in lists of the first one.
    const [, issuer = missing(), , ...rest] = fields[0]?.[0] === tag.integer ? fields.slice(1) : fields;
    const entries = rest.find((field) => field[0] === tag.sequence);
    const hash = hashes.get(children(algorithm)[0]?.toString("hex") ?? "");
    if (hash === undefined) throw new RangeError("it is signed by an algorithm that is not taken");
    const bits = content(signature).subarray(1);
    const known = new Map<string, boolean>();
    return {
      issuer: issuer.toString("hex"),
      serialNumbers: new Set(
        entries === undefined ? [] : children(entries).map((entry) => serialText(children(entry)[0] ?? missing())),
      ),
      isSignedBy: (key) => {
        const text = key.export({ type: "spki", format: "der" }).toString("base64");
        let answer = known.get(text);
        if (answer === undefined) {
          answer = verify(hash, signed, key, bits);
          if (known.size >= maxDepth) known.clear();
          known.set(text, answer);
        }
        return answer;
      },
    };
  } catch (error) {
    throw userError(
      "tls-material-invalid",
      `the revocation lists cannot be used: ${which} is no X509 CRL (${messageOf(error)})`,
      { cause: error, hint: "look at it by openssl crl -noout -text" },
    );
  }
}

function namesOf(certificate: X509Certificate): { readonly issuerName: string; readonly serialNumber: string } {
  const fields = children(children(certificate.raw)[0] ?? missing());
  const [serial = missing(), , issuer = missing()] = fields[0]?.[0] === versionTag ? fields.slice(1) : fields;
  return { issuerName: issuer.toString("hex"), serialNumber: serialText(serial) };
}

function serialText(integer: Buffer): string {
  return content(integer)
    .toString("hex")
    .replace(/^(?:00)+/, "");
}

/** Who signed a certificate, of those that came with it and of the roots. */
function issuerOf(certificate: X509Certificate, roots: readonly X509Certificate[]): X509Certificate | undefined {
  const sent = certificate.issuerCertificate;
  return [...roots, ...(sent === undefined ? [] : [sent])].find(
    (one) => certificate.checkIssued(one) && certificate.verify(one.publicKey),
  );
}

function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

function missing(): never {
  throw new RangeError("it is cut off");
}
