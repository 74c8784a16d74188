import {
  addressesOf,
  chainMatchText,
  chainsOf,
  compare,
  destinationText,
  portOf,
  type FilterChain,
  type ListenerConfig,
  type Matcher,
  type OnMatch,
} from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

/** A table of a waypoint's filter chains, each with the matches that select it. */
export function waypointListenerTable(listeners: readonly ListenerConfig[], { columns }: TableOptions): string {
  const sorted = listeners.toSorted(
    (a, b) =>
      portOf(a) - portOf(b) ||
      compare(addressesOf(a)[0] ?? "", addressesOf(b)[0] ?? "") ||
      compare(a.name ?? "", b.name ?? ""),
  );
  const rows = sorted.flatMap((listener) => {
    const chains = chainsOf(listener);
    const ownName = `envoy://${listener.name ?? ""}`;
    // If the only chain has the listener's name, print the name once.
    const name =
      listener.internalListener !== undefined && chains.length === 1 && chains[0]?.name === ownName
        ? "internal"
        : ownName;
    return chains.flatMap((chain) =>
      waysTo(chain, listener).map((way) => [name, chain.name ?? "", way, destinationText(chain)]),
    );
  });
  return fittedTable(["LISTENER", "CHAIN", "MATCH", "DESTINATION"], rows, { columns, gap: 1 });
}

function waysTo(chain: FilterChain, { filterChainMatcher: matcher }: ListenerConfig): readonly string[] {
  if (matcher === undefined) return [chainMatchText(chain.filterChainMatch)];
  const name = chain.name ?? "";
  if (matcher.onNoMatch?.action?.name === name) return ["UNMATCHED"];
  const ways = waysInside(name, matcher);
  return ways.length === 0 ? ["NONE"] : ways;
}

function waysInside(chain: string, matcher: Matcher): readonly string[] {
  const input = matcher.matcherTree?.input?.name ?? "";
  const ways = branchesOf(matcher).flatMap(([label, onMatch]) => {
    if (onMatch.action?.name === chain) return [`${input}${label}`];
    return onMatch.matcher === undefined
      ? []
      : waysInside(chain, onMatch.matcher).map((way) => `${input}${label} -> ${way}`);
  });
  const otherwise = matcher.onNoMatch;
  if (otherwise?.action?.name === chain) return [...ways, "ANY"];
  return otherwise?.matcher === undefined ? ways : [...ways, ...waysInside(chain, otherwise.matcher)];
}

function branchesOf({ matcherTree = {} }: Matcher): readonly (readonly [string, OnMatch])[] {
  const { exactMatchMap, prefixMatchMap, customMatch } = matcherTree;
  const ranges = (customMatch?.typedConfig?.rangeMatchers ?? []).flatMap(({ ranges: list = [], onMatch = {} }) =>
    list.map(
      ({ addressPrefix = "", prefixLen = 0 }) =>
        [`=${addressPrefix}${prefixLen === 32 || prefixLen === 128 ? "" : `/${prefixLen}`}`, onMatch] as const,
    ),
  );
  return [
    ...Object.entries(exactMatchMap?.map ?? {}).map(([key, onMatch]) => [`=${key}`, onMatch] as const),
    ...Object.entries(prefixMatchMap?.map ?? {}).map(([key, onMatch]) => [`^${key}`, onMatch] as const),
    ...ranges,
  ];
}
