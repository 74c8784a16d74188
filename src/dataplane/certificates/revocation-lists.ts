import { X509Certificate } from "node:crypto";
import { LinkedList, messageOf, unlisted, type Clock, type Linked, type Logger } from "../../base/index.ts";
import type { PeerGuard } from "../../net/index.ts";
import { pemBlocks, RevokedCertificates } from "../../x509/index.ts";

interface Admitted extends Linked<Admitted> {
  readonly certificate: X509Certificate;
  readonly roots: readonly X509Certificate[];
  readonly peer: "client" | "server";
  readonly close: (reason: string) => void;
}

/**
 * Refuses peers with a revoked certificate, see {@link RevokedCertificates}. It checks live connections again when the
 * lists change.
 */
export class RevocationLists {
  readonly #onRevoked: (peer: "client" | "server") => void;
  readonly #admitted = new LinkedList<Admitted>();
  #revoked = new RevokedCertificates(Buffer.alloc(0));

  constructor(onRevoked: (peer: "client" | "server") => void = () => undefined) {
    this.#onRevoked = onRevoked;
  }

  /** The number of live connections that a new list could end. */
  get watched(): number {
    return this.#admitted.size;
  }

  /**
   * Replaces all lists with the lists in a PEM text, or with one list in DER. An empty input revokes nothing. Throws if
   * a list cannot be read, and then changes nothing.
   */
  replace(bytes: Buffer): void {
    this.#revoked = new RevokedCertificates(bytes);
    for (const { certificate, roots, peer, close } of this.#admitted) {
      const reason = this.#revoked.refusal(certificate, roots);
      if (reason === undefined) continue;
      this.#onRevoked(peer);
      close(reason);
    }
  }

  guard(rootsPem: string): PeerGuard {
    const roots = pemBlocks(rootsPem).map((pem) => new X509Certificate(pem));
    return {
      refuse: (certificate, peer) => {
        const reason = this.#revoked.refusal(certificate, roots);
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
}

export interface RevocationFollowerOptions {
  readonly path: string;
  readonly readFile: (path: string) => Promise<Buffer>;
  readonly revocations: Pick<RevocationLists, "replace">;
  /** Whether a missing file is expected, so that it is not logged. */
  readonly optional?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 2000;

/**
 * Reads a file of revocation lists now and after each change, until the signal aborts. If the file disappears or cannot
 * be read, the last lists stay in force. Calls `onRead` after each attempt.
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
        // Remember the content before parsing it, so that invalid lists are not parsed again until the file changes.
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
