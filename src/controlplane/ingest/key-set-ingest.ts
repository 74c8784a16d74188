import type { KeySetFetcher } from "../../api/pilot-settings/index.ts";
import {
  aborted,
  Backoff,
  messageOf,
  systemRandom,
  transientError,
  type Clock,
  type Logger,
} from "../../base/index.ts";
import type { Collection, SourceCollection } from "../../kube/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { RequestAuthenticationFacts } from "../model/facts.ts";
import { KeyFetchShares, leastWaitMs } from "./key-fetch-shares.ts";
import { keySource, type KeySetFacts, type KeySource } from "../model/request-authentication-keys.ts";

/** Fetches the text at a URL. Throws if there is none, or if it is too long. */
export type FetchText = (url: string, signal: AbortSignal) => Promise<string>;

export interface KeySetIngestOptions {
  readonly requestAuthentications: Collection<RequestAuthenticationFacts>;
  readonly keySets: SourceCollection<KeySetFacts>;
  readonly fetchText: FetchText;
  /** Who fetches the key sets. Absent means this control plane. */
  readonly fetcher?: KeySetFetcher | undefined;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The time between two fetches of a key set. It is long, because issuers rarely change their keys, and keep the old
 * ones valid for a while.
 */
const refreshMs = 20 * 60_000;
const retryInitialMs = 1000;
const retryMaxMs = 60_000;

/**
 * Fetches the key sets of RequestAuthentications at regular intervals, so that proxies need no access to the issuers.
 * If a fetch fails, the last key set stays in force. As long as there is no key set, the issuer's tokens are refused.
 */
export class KeySetIngest {
  readonly #options: KeySetIngestOptions;
  readonly #followed = new Map<string, AbortController>();
  readonly #shares = new KeyFetchShares();
  /** The namespaces whose rules name a key set, by the key set's id. */
  #namespaces: ReadonlyMap<string, readonly string[]> = new Map();
  #counts: ReadonlyMap<string, number> = new Map();
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
      const wanted = this.#wanted();
      for (const [id, stop] of this.#followed) {
        if (wanted.has(id)) continue;
        stop.abort();
        this.#followed.delete(id);
        this.#shares.drop(id);
        this.#options.keySets.delete(id);
      }
      for (const source of wanted.values()) {
        if (this.#followed.has(source.id)) continue;
        const stop = new AbortController();
        this.#followed.set(source.id, stop);
        const task = this.#follow(source, AbortSignal.any([stop.signal, signal]));
        tasks.add(task);
        void task.finally(() => tasks.delete(task));
      }
    };
    using _subscription = this.#options.requestAuthentications.subscribe(adjust);
    await aborted(signal);
    await Promise.all(tasks);
  }

  /** The key sets to fetch. Also remembers whose they are. */
  #wanted(): ReadonlyMap<string, KeySource> {
    const wanted = new Map<string, KeySource>();
    const namespaces = new Map<string, Set<string>>();
    const counts = new Map<string, number>();
    for (const { spec, namespace } of this.#options.requestAuthentications.values())
      for (const rule of spec.jwtRules) {
        const source = keySource(rule);
        if (source === undefined || (source.address !== undefined && this.#options.fetcher === "proxy")) continue;
        wanted.set(source.id, source);
        const own = namespaces.get(source.id) ?? new Set();
        namespaces.set(source.id, own);
        if (own.has(namespace)) continue;
        own.add(namespace);
        counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
      }
    this.#namespaces = new Map([...namespaces].map(([id, own]) => [id, [...own].sort()]));
    this.#counts = counts;
    return wanted;
  }

  async #follow(source: KeySource, signal: AbortSignal): Promise<void> {
    const { keySets, clock, log } = this.#options;
    const backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random: systemRandom });
    while (!signal.aborted) {
      let waitMs = refreshMs;
      try {
        const keys = await this.#fetchInTurn(source, signal);
        if (signal.aborted) return;
        keySets.set(source.id, { source: source.id, keys });
        backoff.reset();
        this.#counters.fetched.increment();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = backoff.nextMs();
        this.#counters.failed.increment();
        log.warn("the keys of a token issuer could not be fetched", {
          source: source.id,
          hasOlder: keySets.get(source.id) !== undefined,
          error: messageOf(error),
        });
      }
      await clock.sleep(Math.max(waitMs, this.#leastWaitMs(source)), signal).catch(() => undefined);
    }
  }

  #namespacesOf({ id }: KeySource): readonly string[] {
    return this.#namespaces.get(id) ?? [];
  }

  #leastWaitMs(source: KeySource): number {
    const counts = this.#namespacesOf(source).map((namespace) => this.#counts.get(namespace) ?? 0);
    return leastWaitMs(Math.min(...counts));
  }

  async #fetchInTurn(source: KeySource, signal: AbortSignal): Promise<string> {
    using _place = await this.#shares.place(this.#namespacesOf(source), signal);
    const keys = await this.#fetch(source, AbortSignal.any([signal, AbortSignal.timeout(source.timeoutMs)]));
    signal.throwIfAborted();
    if (!this.#shares.hold(source.id, this.#namespacesOf(source), keys))
      throw transientError(
        "answer-too-long",
        `the key sets of the namespace ${this.#namespacesOf(source).join(" and ")} are too large together; remove JWT rules that nobody needs`,
      );
    return keys;
  }

  async #fetch({ address, issuer }: KeySource, signal: AbortSignal): Promise<string> {
    const text = await this.#options.fetchText(address ?? (await this.#discover(issuer, signal)), signal);
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== "object" || parsed === null || !("keys" in parsed) || !Array.isArray(parsed.keys)) {
      throw transientError("key-set-unreadable", "the response is not a key set: it has no list `keys`");
    }
    return text;
  }

  async #discover(issuer: string, signal: AbortSignal): Promise<string> {
    const document: unknown = JSON.parse(
      await this.#options.fetchText(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, signal),
    );
    const found: unknown =
      typeof document === "object" && document !== null ? Reflect.get(document, "jwks_uri") : undefined;
    if (typeof found !== "string")
      throw transientError("key-set-unreadable", "the issuer's discovery document has no jwks_uri");
    return found;
  }
}
