import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { CertificateManager } from "./certificate-manager.ts";
import { pemBlocks } from "../../x509/index.ts";

export interface RootFollowerOptions {
  /** The mounted file with the mesh's roots (the ConfigMap `istio-ca-root-cert`). */
  readonly path: string;
  readonly readFile: (path: string) => Promise<string>;
  readonly certificates: Pick<CertificateManager, "renew">;
  readonly clock: Clock;
  readonly log: Logger;
}

const lookEveryMs = 2000;
const spreadMs = 5000;
/**
 * The intervals at which certificates with other roots than the file are requested again after the file has changed.
 * The CA may read the change later than this process. After the last interval, only the next rotation requests them
 * again.
 */
const againMs = [10_000, 15_000, 30_000, 60_000, 120_000];

/**
 * Renews all certificates whenever the mesh's roots change, until the signal aborts. The CA's answers contain the roots
 * to trust, and another root may now sign certificates. Connections continue.
 */
export async function followRoots(
  { path, readFile, certificates, clock, log }: RootFollowerOptions,
  signal: AbortSignal,
): Promise<void> {
  let known: string | undefined;
  let trouble: string | undefined;
  let attempt = 0;
  let lookAgainMs = 0;
  while (!signal.aborted) {
    try {
      const roots = pemBlocks(await readFile(path)).join("");
      trouble = undefined;
      const nowMs = clock.steadyMs();
      if (roots !== known && roots !== "") {
        if (known !== undefined) {
          log.info("the mesh's roots have changed: certificates are renewed", { path });
          certificates.renew(() => true, spreadMs);
        }
        known = roots;
        attempt = 0;
        lookAgainMs = nowMs + (againMs[0] ?? Infinity);
      } else if (attempt < againMs.length && nowMs >= lookAgainMs) {
        certificates.renew(({ issuedRootsPem }) => pemBlocks(issuedRootsPem).join("") !== known, spreadMs);
        attempt += 1;
        lookAgainMs = nowMs + (againMs[attempt] ?? Infinity);
      }
    } catch (error) {
      if (trouble !== messageOf(error)) log.warn("the mesh's roots cannot be read", { path, error: messageOf(error) });
      trouble = messageOf(error);
    }
    await clock.sleep(lookEveryMs, signal).catch(() => undefined);
  }
}
