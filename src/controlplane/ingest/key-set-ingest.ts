import { Backoff, messageOf, systemRandom, transientError, type Clock, type Logger } from "../../base/index.ts";
import type { Collection, SourceCollection } from "../../kube/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { RequestAuthenticationFacts } from "../model/facts.ts";
import { issuerOf, keySource, type KeySetFacts } from "../model/request-authentication-keys.ts";

/** Answers a text by its address; throws when there is none, or when it is too long. */
export type FetchText = (url: string, signal: AbortSignal) => Promise<string>;

export interface KeySetIngestOptions {
  readonly requestAuthentications: Collection<RequestAuthenticationFacts>;
  readonly keySets: SourceCollection<KeySetFacts>;
  readonly fetchText: FetchText;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Issuers change their keys rarely, and keep the old ones valid for a while. */
const refreshMs = 20 * 60_000;
const retryInitialMs = 1000;
const retryMaxMs = 60_000;
const fetchTimeoutMs = 10_000;

/**
 * Fetches the key sets that RequestAuthentications ask for, and again from time to time, so that proxies need not reach the
 * issuers themselves. While one cannot be fetched the last one stays; tokens of an issuer without any are refused.
 */
export class KeySetIngest {
  readonly #options: KeySetIngestOptions;
  readonly #followed = new Map<string, AbortController>();
  readonly #counters: Readonly<Record<"fetched" | "failed", { increment(): void }>>;

  constructor(options: KeySetIngestOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#counters = {
      fetched: metrics
        .counter("pilot_jwks_resolver_network_fetch_success_total", "Key sets of token issuers that were fetched.")
        .labels(),
      failed: metrics
        .counter("pilot_jwks_resolver_network_fetch_fail_total", "Fetches of key sets of token issuers that failed.")
        .labels(),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const tasks = new Set<Promise<void>>();
    const adjust = (): void => {
      if (signal.aborted) return;
      const wanted = new Set(
        [...this.#options.requestAuthentications.values()].flatMap(({ spec }) =>
          spec.jwtRules.flatMap((rule) => keySource(rule) ?? []),
        ),
      );
      for (const [source, stop] of this.#followed) {
        if (wanted.has(source)) continue;
        stop.abort();
        this.#followed.delete(source);
        this.#options.keySets.delete(source);
      }
      for (const source of wanted) {
        if (this.#followed.has(source)) continue;
        const stop = new AbortController();
        this.#followed.set(source, stop);
        const task = this.#follow(source, AbortSignal.any([stop.signal, signal]));
        tasks.add(task);
        void task.finally(() => tasks.delete(task));
      }
    };
    using _subscription = this.#options.requestAuthentications.subscribe(adjust);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.all(tasks);
  }

  async #follow(source: string, signal: AbortSignal): Promise<void> {
    const { keySets, clock, log } = this.#options;
    const backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random: systemRandom });
    while (!signal.aborted) {
      let waitMs = refreshMs;
      try {
        const keys = await this.#fetch(source, AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]));
        if (signal.aborted) return;
        keySets.set(source, { source, keys });
        backoff.reset();
        this.#counters.fetched.increment();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = backoff.nextMs();
        this.#counters.failed.increment();
        log.warn("the keys of a token issuer could not be fetched", {
          source,
          hasOlder: keySets.get(source) !== undefined,
          error: messageOf(error),
        });
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  async #fetch(source: string, signal: AbortSignal): Promise<string> {
    const issuer = issuerOf(source);
    const text = await this.#options.fetchText(
      issuer === undefined ? source : await this.#discover(issuer, signal),
      signal,
    );
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("keys" in parsed) || !Array.isArray(parsed.keys)) {
      throw transientError("no-key-set", "the answer is no key set: it has no list `keys`");
    }
    return text;
  }

  /** The address of an issuer's keys, of its discovery document (OpenID Connect). */
  async #discover(issuer: string, signal: AbortSignal): Promise<string> {
    const document: unknown = JSON.parse(
      await this.#options.fetchText(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, signal),
    );
    const found: unknown =
      typeof document === "object" && document !== null ? Reflect.get(document, "jwks_uri") : undefined;
    if (typeof found !== "string")
      throw transientError("no-key-address", "the issuer's discovery document names no jwks_uri");
    return found;
  }
}
