import {
  Backoff,
  messageOf,
  systemClock,
  systemRandom,
  transientError,
  onAbort,
  type Clock,
  type Logger,
  type Random,
} from "../../base/index.ts";
import { createCertificateRequest } from "./certificate-request.ts";
import type {
  CertificateAuthority,
  CertificateSource,
  HandshakeRules,
  WorkloadCertificate,
} from "./certificate-types.ts";
import type { TrustedRoot } from "./root-restrictions.ts";
import { trusting, workloadCertificate } from "./workload-certificate.ts";

export interface CertificateManagerOptions extends HandshakeRules {
  readonly authority: CertificateAuthority;
  readonly log: Logger;
  /** The validity of a certificate to request. The default is 24 h. */
  readonly validitySeconds?: number;
  /** The maximum number of identities. The least recently used one is dropped first. */
  readonly maxIdentities?: number;
  /** Called with each new certificate. */
  readonly onCertificate?: (certificate: WorkloadCertificate) => void;
  readonly onForgotten?: (identity: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

export type CertificateState = "Initializing" | "Available" | "Unavailable";

export interface CertificateStatus {
  readonly identity: string;
  readonly state: CertificateState;
  readonly certificate?: WorkloadCertificate;
  readonly error?: string;
}

interface Waiter {
  readonly resolve: (certificate: WorkloadCertificate) => void;
  readonly reject: (error: Error) => void;
}

interface Entry {
  certificate?: WorkloadCertificate;
  error?: string;
  readonly waiters: Set<Waiter>;
  readonly stop: AbortController;
  usedAtMs: number;
  /** Whether to fetch the certificate again, whatever its age. */
  due: boolean;
  wake: AbortController;
}

const defaultMaxIdentities = 4_096;
const firstRetryMs = 100;
const maxRetryMs = 15_000;
/**
 * The longest delay in milliseconds between retries while a caller waits for the certificate. It is short, so that a CA
 * that has restarted gets a request before the caller gives up.
 */
const maxAwaitedRetryMs = 2_000;
/**
 * The longest delay that setTimeout accepts. The manager waits at most this long for a rotation, and then fetches the
 * certificate even if the rotation is due later.
 */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Certificates by identity. Each identity has one request at a time, which is retried with backoff until it succeeds. A
 * certificate is rotated at half of its lifetime, and stays in use until it expires, whatever the CA answers. An
 * identity that a caller waits for is requested at once, and then every one or two seconds until the CA signs.
 */
export class CertificateManager implements CertificateSource {
  readonly #options: CertificateManagerOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #entries = new Map<string, Entry>();
  #rootsBesides: readonly TrustedRoot[] = [];

  constructor(options: CertificateManagerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#log = options.log;
  }

  async fetch(identity: string, signal?: AbortSignal): Promise<WorkloadCertificate> {
    const valid = this.peek(identity);
    if (valid !== undefined) return valid;
    const entry = this.#entry(identity);
    const { promise, resolve, reject } = Promise.withResolvers<WorkloadCertificate>();
    const waiter = { resolve, reject };
    // Retry now if no other caller waits. Retries without a waiter are rare, and the CA may have become reachable since
    // the last one.
    if (entry.waiters.size === 0 && entry.error !== undefined) entry.wake.abort();
    entry.waiters.add(waiter);
    const abort = onAbort(signal, () => {
      const cause = entry.error === undefined ? "" : `: ${entry.error}`;
      reject(transientError("certificate-wait", `no certificate for ${identity} in time${cause}`));
    });
    return await promise.finally(() => {
      entry.waiters.delete(waiter);
      abort[Symbol.dispose]();
    });
  }

  peek(identity: string): WorkloadCertificate | undefined {
    const entry = this.#entries.get(identity);
    if (entry?.certificate === undefined || entry.certificate.notAfterMs <= this.#clock.nowMs()) return undefined;
    entry.usedAtMs = this.#clock.steadyMs();
    return entry.certificate;
  }

  /** Starts to fetch and rotate a certificate, without waiting for it. */
  prefetch(identity: string): void {
    this.#entry(identity);
  }

  /** Drops an identity that is no longer needed, and rejects its waiters. */
  forget(identity: string): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    this.#entries.delete(identity);
    entry.stop.abort();
    this.#options.onForgotten?.(identity);
    for (const waiter of entry.waiters)
      waiter.reject(transientError("certificate-forgotten", `${identity} is no longer needed here`));
  }

  /**
   * Fetches matching certificates again, each at a random time within `spreadMs` to limit the load on the CA. The
   * present certificates stay in use until then.
   */
  renew(matches: (certificate: WorkloadCertificate) => boolean, spreadMs: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.certificate === undefined || !matches(entry.certificate)) continue;
      this.#clock.after(this.#random() * spreadMs, () => {
        entry.due = true;
        entry.wake.abort();
      });
    }
  }

  /**
   * Trusts these roots in addition to the roots that came with each certificate. They replace earlier additional roots,
   * and new handshakes use them at once. Throws if a root cannot be used, and then changes nothing.
   */
  trustBesides(roots: readonly TrustedRoot[]): void {
    const held = [...this.#entries.values()].flatMap((entry) =>
      entry.certificate === undefined
        ? []
        : [{ entry, certificate: trusting(entry.certificate, roots, this.#options) }],
    );
    for (const { entry, certificate } of held) this.#use(entry, certificate);
    this.#rootsBesides = roots;
  }

  statuses(): CertificateStatus[] {
    return [...this.#entries].map(([identity, entry]) => ({
      identity,
      state:
        entry.certificate === undefined ? (entry.error === undefined ? "Initializing" : "Unavailable") : "Available",
      ...(entry.certificate === undefined ? {} : { certificate: entry.certificate }),
      ...(entry.error === undefined ? {} : { error: entry.error }),
    }));
  }

  close(): void {
    for (const identity of this.#entries.keys()) this.forget(identity);
  }

  #entry(identity: string): Entry {
    let entry = this.#entries.get(identity);
    if (entry !== undefined) return entry;
    this.#evict();
    entry = {
      waiters: new Set(),
      stop: new AbortController(),
      usedAtMs: this.#clock.steadyMs(),
      due: false,
      wake: new AbortController(),
    };
    this.#entries.set(identity, entry);
    void this.#keep(identity, entry);
    return entry;
  }

  #evict(): void {
    if (this.#entries.size < (this.#options.maxIdentities ?? defaultMaxIdentities)) return;
    let oldest: string | undefined;
    let oldestAtMs = Infinity;
    for (const [identity, entry] of this.#entries) {
      if (entry.waiters.size > 0 || entry.usedAtMs >= oldestAtMs) continue;
      oldest = identity;
      oldestAtMs = entry.usedAtMs;
    }
    if (oldest === undefined) throw transientError("busy", "too many identities wait for a certificate");
    this.forget(oldest);
  }

  #use(entry: Entry, certificate: WorkloadCertificate): void {
    const isNew = entry.certificate !== certificate;
    entry.certificate = certificate;
    if (isNew) this.#options.onCertificate?.(certificate);
  }

  /**
   * Fetches the certificate, waits for half of its lifetime, and fetches it again, until the entry is dropped. Never
   * throws.
   */
  async #keep(identity: string, entry: Entry): Promise<void> {
    const { signal } = entry.stop;
    const backoff = new Backoff({ initialMs: firstRetryMs, maxMs: maxRetryMs, random: this.#random });
    while (!signal.aborted) {
      let waitMs: number;
      entry.due = false;
      try {
        const certificate = await this.#request(identity, signal);
        this.#use(entry, certificate);
        delete entry.error;
        backoff.reset();
        for (const waiter of entry.waiters) waiter.resolve(certificate);
        waitMs = (certificate.notBeforeMs + certificate.notAfterMs) / 2 - this.#clock.nowMs();
        this.#log.debug("certificate fetched", { identity, notAfter: new Date(certificate.notAfterMs).toISOString() });
      } catch (error) {
        if (signal.aborted) return;
        entry.error = messageOf(error);
        const nextMs = backoff.nextMs();
        const awaitedMs = (maxAwaitedRetryMs / 2) * (1 + this.#random());
        waitMs = entry.waiters.size === 0 ? nextMs : Math.min(nextMs, awaitedMs);
        this.#log.warn("could not fetch a certificate", { identity, error: entry.error, retryMs: Math.round(waitMs) });
      }
      // Fetch again at once if a renewal was requested during the request. The renewal concerned the previous
      // certificate.
      if (entry.due) continue;
      entry.wake = new AbortController();
      await this.#clock
        .sleep(Math.min(Math.max(waitMs, firstRetryMs), maxTimerMs), AbortSignal.any([signal, entry.wake.signal]))
        .catch(() => undefined);
    }
  }

  async #request(identity: string, signal: AbortSignal): Promise<WorkloadCertificate> {
    const { privateKeyPem, csrPem } = await createCertificateRequest(identity);
    const validitySeconds = this.#options.validitySeconds ?? 86_400;
    const chain = await this.#options.authority.sign({ identity, csrPem, validitySeconds }, signal);
    const received = workloadCertificate(identity, privateKeyPem, chain, this.#rootsBesides, this.#options);
    return { ...received, receivedAtMs: this.#clock.nowMs() };
  }
}
