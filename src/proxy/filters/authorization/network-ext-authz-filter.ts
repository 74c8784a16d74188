import type { ConnectionInfo } from "../../terms/connection-info.ts";
import type { AuthorizationAnswer } from "./ext-authz-filter.ts";
import type { FilterCounter, FilterStatistics } from "../../terms/filter-statistics.ts";
import type { ConnectionVerdict, NetworkFilter } from "../network-filter.ts";

export interface NetworkExtAuthzSettings {
  readonly ask: (
    info: ConnectionInfo,
    metadata: ReadonlyMap<string, unknown>,
    signal: AbortSignal,
  ) => Promise<AuthorizationAnswer>;
  readonly allowsOnFailure: boolean;
  /** Selects the connections to ask about, by the metadata of earlier filters. */
  readonly enabled: (metadata: ReadonlyMap<string, unknown>) => boolean;
  readonly timeoutMs: number;
}

export class NetworkExtAuthzFilter implements NetworkFilter {
  readonly name: string;
  readonly #settings: NetworkExtAuthzSettings;
  readonly #ok: FilterCounter;
  readonly #denied: FilterCounter;
  readonly #error: FilterCounter;

  constructor(name: string, settings: NetworkExtAuthzSettings, statistics: FilterStatistics, statPrefix: string) {
    this.name = name;
    this.#settings = settings;
    this.#ok = statistics.counter(`ext_authz.${statPrefix}ok`);
    this.#denied = statistics.counter(`ext_authz.${statPrefix}denied`);
    this.#error = statistics.counter(`ext_authz.${statPrefix}error`);
  }

  onConnection(info: ConnectionInfo, metadata: Map<string, unknown>): ConnectionVerdict | Promise<ConnectionVerdict> {
    return this.#settings.enabled(metadata) ? this.#ask(info, metadata) : "allow";
  }

  async #ask(info: ConnectionInfo, metadata: ReadonlyMap<string, unknown>): Promise<ConnectionVerdict> {
    const { ask, allowsOnFailure, timeoutMs } = this.#settings;
    try {
      const answer = await ask(info, metadata, AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs))));
      (answer.kind === "allowed" ? this.#ok : this.#denied).increment();
      return answer.kind === "allowed" ? "allow" : "deny";
    } catch {
      this.#error.increment();
      return allowsOnFailure ? "allow" : "deny";
    }
  }
}
