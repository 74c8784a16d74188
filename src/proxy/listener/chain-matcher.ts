import { formatAuthority } from "../../wire/hbone/index.ts";
import { within, type AddressRange, type ConnectionTraits } from "./filter-chain-match.ts";

/**
 * A compiled decision tree. Returns the name of a filter chain, or undefined if the tree has none for the connection.
 */
export type ChainMatcher = (traits: ConnectionTraits) => string | undefined;

/** The property that a node of the tree compares. */
export type ConnectionInput = (traits: ConnectionTraits) => string | undefined;

export const connectionInputs: Readonly<Record<string, ConnectionInput>> = {
  DestinationIPInput: ({ local }) => local.address,
  DestinationPortInput: ({ local }) => String(local.port),
  SourceIPInput: ({ remote }) => remote.address,
  SourcePortInput: ({ remote }) => String(remote.port),
  DirectSourceIPInput: ({ directRemote }) => directRemote.address,
  ServerNameInput: ({ serverName }) => (serverName === "" ? undefined : serverName),
  TransportProtocolInput: ({ transportProtocol }) => transportProtocol,
  ApplicationProtocolInput: ({ applicationProtocols }) =>
    applicationProtocols.length === 0 ? undefined : applicationProtocols.map((protocol) => `'${protocol}'`).join(","),
};

/** The values that are known about the CONNECT at the end of a tunnel, under the names that Istio's listeners use. */
export const connectionStates: Readonly<Record<string, ConnectionInput>> = {
  "io.istio.connect_authority": ({ local }) => formatAuthority(local.address, local.port),
  "io.istio.source": ({ source }) => source,
};

/**
 * A node that continues with the subtree whose key equals the value. Without such a subtree, or if it leads to no
 * chain, the node continues with its fallback.
 */
export function exactNode(
  input: ConnectionInput,
  branches: ReadonlyMap<string, ChainMatcher>,
  otherwise: ChainMatcher,
): ChainMatcher {
  return (traits) => {
    const branch = branches.get(input(traits) ?? "");
    return branch?.(traits) ?? otherwise(traits);
  };
}

/**
 * A node that continues with the subtree whose key is the longest prefix of the value. Without such a subtree, or if it
 * leads to no chain, the node continues with its fallback.
 */
export function prefixNode(
  input: ConnectionInput,
  branches: ReadonlyMap<string, ChainMatcher>,
  otherwise: ChainMatcher,
): ChainMatcher {
  const longestFirst = [...branches].sort(([left], [right]) => right.length - left.length);
  return (traits) => {
    const value = input(traits);
    const found = value === undefined ? undefined : longestFirst.find(([prefix]) => value.startsWith(prefix));
    return found?.[1](traits) ?? otherwise(traits);
  };
}

/** A node that continues with the narrowest range that contains the address and whose subtree leads to a chain. */
export function rangeNode(
  input: ConnectionInput,
  branches: readonly { readonly range: AddressRange; readonly next: ChainMatcher }[],
  bytesOf: (address: string) => Uint8Array | undefined,
  otherwise: ChainMatcher,
): ChainMatcher {
  const narrowestFirst = branches.toSorted((left, right) => right.range.length - left.range.length);
  return (traits) => {
    const address = bytesOf(input(traits) ?? "");
    if (address !== undefined) {
      for (const { range, next } of narrowestFirst) {
        const chain = within(address, range) ? next(traits) : undefined;
        if (chain !== undefined) return chain;
      }
    }
    return otherwise(traits);
  };
}

/** A node that continues with the first condition that holds. */
export function listNode(
  conditions: readonly { readonly holds: (traits: ConnectionTraits) => boolean; readonly next: ChainMatcher }[],
  otherwise: ChainMatcher,
): ChainMatcher {
  return (traits) => {
    for (const { holds, next } of conditions) {
      const chain = holds(traits) ? next(traits) : undefined;
      if (chain !== undefined) return chain;
    }
    return otherwise(traits);
  };
}
