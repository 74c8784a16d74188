import { resolve4, resolve6 } from "node:dns/promises";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { Collection, SourceCollection } from "../../kube/index.ts";
import { isAddress } from "../model/ip-address.ts";
import type { NetworkGateways } from "../model/network-gateways.ts";

export interface GatewayNamesOptions {
  readonly gateways: Collection<NetworkGateways>;
  readonly resolved: SourceCollection<{ readonly addresses: readonly string[] }>;
  /** Resolves all addresses of a name. Throws if no server answers. */
  readonly lookUp?: (name: string) => Promise<readonly string[]>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The time between two look-ups of a name, upstream's shortest interval. More frequent changes would only cause more
 * pushes.
 */
const refreshMs = 30_000;

/**
 * Resolves the host names of network gateways regularly, because proxies need addresses. While no server answers, the
 * last known addresses stay.
 */
export class GatewayNames {
  readonly #options: GatewayNamesOptions;
  readonly #known = new Map<string, readonly string[]>();

  constructor(options: GatewayNamesOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { gateways, clock } = this.#options;
    using _subscription = gateways.subscribe(() => void this.#refresh(true));
    while (!signal.aborted) {
      await clock.sleep(refreshMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#refresh(false);
    }
  }

  async #refresh(newOnly: boolean): Promise<void> {
    const { gateways, resolved } = this.#options;
    const names = new Set(
      [...gateways.values()]
        .flatMap(({ all }) => all.map(({ address }) => address))
        .filter((address) => !isAddress(address)),
    );
    for (const name of this.#known.keys()) {
      if (names.has(name)) continue;
      this.#known.delete(name);
      resolved.delete(name);
    }
    await Promise.all(
      [...names].filter((name) => !newOnly || !this.#known.has(name)).map((name) => this.#lookUp(name)),
    );
  }

  async #lookUp(name: string): Promise<void> {
    const { resolved, lookUp = addressesOf, log } = this.#options;
    if (!this.#known.has(name)) this.#known.set(name, []);
    try {
      const addresses = [...(await lookUp(name))].sort();
      if (!this.#known.has(name)) return;
      this.#known.set(name, addresses);
      resolved.set(name, { addresses });
    } catch (error) {
      log.warn("the name of a network's gateway is not resolved", { name, error: messageOf(error) });
    }
  }
}

async function addressesOf(name: string): Promise<readonly string[]> {
  const [four, six] = await Promise.allSettled([resolve4(name), resolve6(name)]);
  if (four.status === "rejected" && six.status === "rejected") throw four.reason;
  return [...(four.status === "fulfilled" ? four.value : []), ...(six.status === "fulfilled" ? six.value : [])];
}
