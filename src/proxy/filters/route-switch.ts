import { responseFlags } from "../terms/response-flags.ts";
import type { Discovery, FilterRequest, HttpFilter, LocalReply, StreamFilter } from "./http-filter.ts";

/** A route's configuration that switches a filter on or off, and may also configure the filter. */
export class FilterSwitch {
  readonly enabled: boolean;

  constructor(enabled: boolean) {
    this.enabled = enabled;
  }
}

export const filterOff = new FilterSwitch(false);
export const filterOn = new FilterSwitch(true);

/** A filter that routes may switch off. If it is off by default, it works only on routes that configure it. */
export class SwitchedFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #filter: HttpFilter;
  readonly #enabled: boolean;

  constructor(filter: HttpFilter, enabled: boolean) {
    this.name = filter.name;
    this.idle = !enabled || filter.idle === true;
    this.#filter = filter;
    this.#enabled = enabled;
  }

  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    return this.#enabledFor(request) ? this.#filter.onRequest(request, signal) : undefined;
  }

  get discovery(): Discovery | undefined {
    return this.#filter.discovery;
  }

  starting(): Promise<unknown> | undefined {
    return this.#filter.starting?.();
  }

  stream(request: FilterRequest, signal: () => AbortSignal): StreamFilter | undefined {
    return this.#filter.stream !== undefined && this.#enabledFor(request)
      ? this.#filter.stream(request, signal)
      : undefined;
  }

  #enabledFor(request: FilterRequest): boolean {
    const own = request.route?.filterConfigs.get(this.name);
    return own === undefined ? this.#enabled : own instanceof FilterSwitch ? own.enabled : true;
  }
}

/**
 * Stands for an unknown filter that is off by default. It refuses the requests on a route that switches it on, because
 * they must not be served without it.
 */
export class MissingFilter implements HttpFilter {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  onRequest(): LocalReply {
    return {
      status: 500,
      body: `the HTTP filter ${this.name}, which this route turns on, is not supported`,
      headers: [],
      flag: responseFlags.none,
      details: "filter_not_supported",
    };
  }
}
