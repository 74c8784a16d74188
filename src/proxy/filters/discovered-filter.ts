import type { Any } from "@bufbuild/protobuf/wkt";
import type { Clock } from "../../base/index.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { Discovery, FilterRequest, HttpFilter, LocalReply, StreamFilter } from "./http-filter.ts";

export interface DiscoveredFilterOptions {
  readonly name: string;
  /** Makes the filter of a configuration. Throws if it cannot be served. */
  readonly compile: (config: Any) => HttpFilter;
  /** The filter that serves before a configuration arrives, and after it was removed. */
  readonly fallback: HttpFilter | undefined;
  /** How long a listener waits for the first configuration, in milliseconds. Infinity means until it arrives. */
  readonly waitMs: number;
  readonly clock: Pick<Clock, "steadyMs">;
}

/** Envoy's response if the configuration has not arrived in time. */
const noConfiguration: LocalReply = {
  status: 500,
  body: "",
  headers: [],
  flag: responseFlags.noFilterConfigFound,
  details: "",
};

/**
 * A filter whose configuration is a resource of its own (ECDS). A new configuration takes effect without a change of
 * the listener.
 */
export class DiscoveredFilter implements HttpFilter, Discovery {
  readonly name: string;
  readonly #options: DiscoveredFilterOptions;
  readonly #waitsUntilMs: number;
  /**
   * The filter that processed each request's head. It also processes the rest of that request, even if another filter
   * is in force by then.
   */
  readonly #taken = new WeakMap<FilterRequest, HttpFilter>();
  #current: HttpFilter | undefined;
  /** The filter of the latest configuration. While it starts, an earlier one is in force. */
  #latest: HttpFilter | undefined;
  #isRefused = false;
  /** Whether a request has arrived, so that the fallback may be serving already. */
  #serves = false;

  constructor(options: DiscoveredFilterOptions) {
    this.name = options.name;
    this.#options = options;
    this.#waitsUntilMs = options.clock.steadyMs() + options.waitMs;
    this.#current = options.fallback;
  }

  get discovery(): Discovery {
    return this;
  }

  get resource(): string {
    return this.name;
  }

  get awaited(): boolean {
    return !this.#isRefused && this.#latest === undefined && this.#options.clock.steadyMs() < this.#waitsUntilMs;
  }

  prepare(config: Any): () => Promise<unknown> | undefined {
    const next = this.#options.compile(config);
    return () => this.#follow(next);
  }

  refused(): void {
    this.#isRefused = true;
  }

  retract(): boolean {
    if (this.#options.fallback === undefined) return false;
    this.#current = this.#options.fallback;
    this.#latest = undefined;
    return true;
  }

  starting(): Promise<unknown> | undefined {
    return this.#current?.starting?.();
  }

  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    const filter = this.#current;
    this.#serves = true;
    if (filter === undefined) return noConfiguration;
    if (filter.stream !== undefined) this.#taken.set(request, filter);
    return filter.onRequest(request, signal);
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter | undefined {
    return (this.#taken.get(request) ?? this.#current)?.stream?.(request, signal);
  }

  /**
   * Puts a new filter in force. The previous filter continues until the new one has started. The first filter is in
   * force at once, and the listener or the requests wait until it has started. If the fallback already serves requests,
   * the first filter starts like any later one.
   */
  #follow(next: HttpFilter): Promise<unknown> | undefined {
    const isFirst = this.#latest === undefined && !this.#serves;
    this.#latest = next;
    const started = next.starting?.();
    if (isFirst || started === undefined) {
      this.#current = next;
      return started;
    }
    return started.then(() => {
      if (this.#latest === next) this.#current = next;
    });
  }
}
