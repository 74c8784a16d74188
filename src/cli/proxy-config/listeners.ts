import {
  addressesOf,
  chainMatchText,
  chainsOf,
  compare,
  destinationText,
  listenerTypeOf,
  portOf,
  type ListenerConfig,
} from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

export interface ListenerFilter {
  readonly address?: string;
  readonly port?: number;
  /** HTTP, TCP, HTTP+TCP or UNKNOWN, in any case. */
  readonly type?: string;
}

/** The listeners that match the filter, sorted by port, then address, then type. */
export function filterListeners(
  listeners: readonly ListenerConfig[],
  { address, port = 0, type }: ListenerFilter,
): readonly ListenerConfig[] {
  return listeners
    .filter(
      (listener) =>
        (address === undefined ||
          addressesOf(listener).some((known) => known.toLowerCase() === address.toLowerCase())) &&
        (port === 0 || portOf(listener) === port) &&
        (type === undefined || listenerTypeOf(listener).toLowerCase() === type.toLowerCase()),
    )
    .toSorted(
      (a, b) =>
        portOf(a) - portOf(b) ||
        compare(addressesOf(a)[0] ?? "", addressesOf(b)[0] ?? "") ||
        compare(listenerTypeOf(a), listenerTypeOf(b)),
    );
}

export function listenerTable(
  listeners: readonly ListenerConfig[],
  { verbose = true, named = false, columns }: TableOptions & { readonly verbose?: boolean },
): string {
  const rows = listeners.flatMap((listener) => {
    const start = [
      ...(named ? [`listener/${listener.name ?? ""}`] : []),
      addressesOf(listener).join(","),
      String(portOf(listener)),
    ];
    if (!verbose) return [[...start, listenerTypeOf(listener)]];
    const chains = chainsOf(listener).map(
      (chain) => [chainMatchText(chain.filterChainMatch), destinationText(chain)] as const,
    );
    return chains.toSorted((a, b) => compare(b[1], a[1])).map((cells) => [...start, ...cells]);
  });
  return fittedTable(
    [...(named ? ["NAME"] : []), "ADDRESSES", "PORT", ...(verbose ? ["MATCH", "DESTINATION"] : ["TYPE"])],
    rows,
    { columns, gap: 1 },
  );
}
