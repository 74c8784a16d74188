import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FilterChainMatchSchema, FilterChainSchema } from "../../../wire/envoy/index.ts";
import { compareText } from "../../model/facts.ts";
import { anyAddress, cidrOf } from "../../model/ip-address.ts";
import { durationOfMs, filterMetadata } from "../envoy-any.ts";
import type { FilterInit } from "../filter-init.ts";

type FilterChainInit = Exclude<MessageInitShape<typeof FilterChainSchema>, { $typeName: string }>;
type FilterChainMatchInit = Exclude<MessageInitShape<typeof FilterChainMatchSchema>, { $typeName: string }>;

/** A filter chain of an outbound listener, before the listeners of one address are merged. */
export interface OutboundChain {
  readonly sniHosts: readonly string[];
  readonly destinations: readonly string[];
  readonly applicationProtocols: readonly string[];
  readonly transportProtocol: string;
  readonly config: string | undefined;
  readonly filters: readonly FilterInit[];
}

const transportSocketTimeoutMs = 15_000;

export function takesEverything(chain: OutboundChain): boolean {
  return (
    (chain.sniHosts.length === 0 || chain.sniHosts.includes("*")) &&
    chain.applicationProtocols.length === 0 &&
    chain.transportProtocol === "" &&
    chain.destinations.length === 0
  );
}

/** The chains of one listener. Of chains with the same match only the first stays, because Envoy rejects duplicates. */
export class DistinctChains {
  readonly #byMatch = new Map<string, OutboundChain>();

  constructor(chains: Iterable<OutboundChain> = []) {
    this.add(chains);
  }

  add(chains: Iterable<OutboundChain>): void {
    for (const chain of chains) {
      const match = matchText(chain);
      if (!this.#byMatch.has(match)) this.#byMatch.set(match, chain);
    }
  }

  get all(): readonly OutboundChain[] {
    return [...this.#byMatch.values()];
  }
}

function matchText(chain: OutboundChain): string {
  const sni = chain.sniHosts.filter((host) => host !== "*").sort();
  const destinations = chain.destinations
    .filter((destination) => destination !== anyAddress && destination !== "*")
    .sort();
  return JSON.stringify([chain.transportProtocol, chain.applicationProtocols, sni, destinations]);
}

export function filterChain(chain: OutboundChain): FilterChainInit {
  const match = takesEverything(chain) ? undefined : chainMatch(chain);
  return {
    ...(match === undefined ? {} : { filterChainMatch: match }),
    filters: [...chain.filters],
    transportSocketConnectTimeout: durationOfMs(transportSocketTimeoutMs),
    ...(chain.config === undefined ? {} : { metadata: filterMetadata({ istio: { config: chain.config } }) }),
  };
}

function chainMatch(chain: OutboundChain): FilterChainMatchInit {
  const prefixRanges = [...chain.destinations].sort(compareText).flatMap((text) => {
    const [addressPrefix = ""] = text.split("/");
    const range = cidrOf(text);
    return range === undefined || addressPrefix === anyAddress ? [] : { addressPrefix, prefixLen: range.length };
  });
  return {
    applicationProtocols: [...chain.applicationProtocols],
    transportProtocol: chain.transportProtocol,
    serverNames: chain.sniHosts.includes("*") ? [] : [...chain.sniHosts].sort(compareText),
    prefixRanges,
  };
}
