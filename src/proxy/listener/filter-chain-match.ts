import { addressBytes } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";

export interface ConnectionTraits {
  /** The original destination. */
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** The address of the socket's peer, even if that peer forwards for another client. */
  readonly directRemote: SocketAddress;
  /** The server name (SNI) in lower case. Empty without SNI. */
  readonly serverName: string;
  readonly transportProtocol: "tls" | "raw_buffer";
  /** The protocols that the client offers by ALPN, in its order, or the protocol that an inspector has found. */
  readonly applicationProtocols: readonly string[];
  /** The type of the proxy at the start of the tunnel, as that proxy reports it. Undefined outside of tunnels. */
  readonly source?: string | undefined;
}

export interface AddressRange {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** A filter chain's conditions. An empty list, 0 or an empty string matches everything. */
export interface FilterChainMatch {
  readonly destinationPort: number;
  readonly destinationRanges: readonly AddressRange[];
  /** Exact names, and suffixes as `*.example.com`, in lower case. */
  readonly serverNames: readonly string[];
  readonly transportProtocol: string;
  readonly applicationProtocols: readonly string[];
  readonly directSourceRanges: readonly AddressRange[];
  readonly sourceType: "any" | "local" | "external";
  readonly sourceRanges: readonly AddressRange[];
  readonly sourcePorts: readonly number[];
}

/**
 * How well a chain matches a connection in one property. Higher is better, 0 means that the chain has no condition, and
 * undefined that it does not match.
 */
type Stage = (match: FilterChainMatch, traits: ConnectionTraits) => number | undefined;

/**
 * The properties in Envoy's order. Each narrows the remaining chains to those that match it best. There is no
 * backtracking.
 */
const stages: readonly Stage[] = [
  ({ destinationPort }, { local }) => (destinationPort === 0 ? 0 : destinationPort === local.port ? 1 : undefined),
  ({ destinationRanges }, { local }) => rangeRank(destinationRanges, local.address),
  ({ serverNames }, { serverName }) => serverNameRank(serverNames, serverName),
  ({ transportProtocol }, traits) =>
    transportProtocol === "" ? 0 : transportProtocol === traits.transportProtocol ? 1 : undefined,
  ({ applicationProtocols }, traits) => protocolRank(applicationProtocols, traits.applicationProtocols),
  ({ directSourceRanges }, { directRemote }) => rangeRank(directSourceRanges, directRemote.address),
  ({ sourceType }, traits) =>
    sourceType === "any" ? 0 : (sourceType === "local") === comesFromHere(traits) ? 1 : undefined,
  ({ sourceRanges }, { remote }) => rangeRank(sourceRanges, remote.address),
  ({ sourcePorts }, { remote }) => (sourcePorts.length === 0 ? 0 : sourcePorts.includes(remote.port) ? 1 : undefined),
];

/** The filter chain for a connection. Undefined if none matches. */
export function selectFilterChain<Chain extends { readonly match: FilterChainMatch }>(
  chains: readonly Chain[],
  traits: ConnectionTraits,
): Chain | undefined {
  let left = chains.length < indexedChains ? chains : chainsForName(chains, traits.serverName);
  for (const stage of stages) {
    let best = -1;
    const ranks = left.map(({ match }) => {
      const rank = stage(match, traits);
      if (rank !== undefined && rank > best) best = rank;
      return rank;
    });
    if (best < 0) return undefined;
    left = left.filter((_, index) => ranks[index] === best);
  }
  return left[0];
}

/** The number of chains from which on an index of their server names costs less than comparing each chain. */
const indexedChains = 32;

interface NameIndex {
  /** The positions of the chains that have each name, in ascending order. */
  readonly byName: ReadonlyMap<string, readonly number[]>;
  /** The positions of the chains that have no names, or match any name. */
  readonly nameless: readonly number[];
}

/**
 * The index of each list of chains. Undefined if a property before the server name may exclude chains, so that an index
 * by name would be wrong.
 */
const indexes = new WeakMap<readonly object[], NameIndex | undefined>();

/**
 * The chains that may match a server name, in their order. An index finds them, because a gateway may have thousands of
 * chains, one for each certificate. Comparing the names would exclude all other chains.
 */
function chainsForName<Chain extends { readonly match: FilterChainMatch }>(
  chains: readonly Chain[],
  serverName: string,
): readonly Chain[] {
  if (!indexes.has(chains)) indexes.set(chains, indexNames(chains));
  const index = indexes.get(chains);
  if (index === undefined) return chains;
  const { byName, nameless } = index;
  const found = new Set(nameless);
  for (const position of byName.get(serverName) ?? []) found.add(position);
  for (let dot = serverName.indexOf("."); dot >= 0; dot = serverName.indexOf(".", dot + 1))
    for (const position of byName.get(`*${serverName.slice(dot)}`) ?? []) found.add(position);
  return [...found].sort((left, right) => left - right).flatMap((position) => chains[position] ?? []);
}

function indexNames(chains: readonly { readonly match: FilterChainMatch }[]): NameIndex | undefined {
  const byName = new Map<string, number[]>();
  const nameless: number[] = [];
  for (const [position, { match }] of chains.entries()) {
    if (match.destinationPort !== 0 || match.destinationRanges.length > 0) return undefined;
    if (match.serverNames.length === 0 || match.serverNames.includes("*")) nameless.push(position);
    for (const name of match.serverNames) {
      const positions = byName.get(name);
      if (positions === undefined) byName.set(name, [position]);
      else positions.push(position);
    }
  }
  return { byName, nameless };
}

function rangeRank(ranges: readonly AddressRange[], address: string): number | undefined {
  if (ranges.length === 0) return 0;
  const bytes = addressBytes(address);
  if (bytes === undefined) return undefined;
  let best: number | undefined;
  for (const range of ranges) {
    if (within(bytes, range) && range.length + 1 > (best ?? 0)) best = range.length + 1;
  }
  return best;
}

/** Whether the address is in the range. False if their families differ. */
export function within(address: Uint8Array, range: AddressRange): boolean {
  if (address.length !== range.bytes.length) return false;
  const whole = range.length >> 3;
  for (let index = 0; index < whole; index += 1) if (address[index] !== range.bytes[index]) return false;
  const rest = range.length & 7;
  return rest === 0 || (((address[whole] ?? 0) ^ (range.bytes[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0;
}

const exactNameRank = 1000;

function serverNameRank(names: readonly string[], serverName: string): number | undefined {
  if (names.length === 0) return 0;
  let best: number | undefined;
  for (const name of names) {
    if (name === "*") best = Math.max(best ?? 0, 0);
    else if (name === serverName && serverName !== "") return exactNameRank;
    else if (name.startsWith("*.") && serverName.endsWith(name.slice(1)) && serverName.length >= name.length)
      best = Math.max(best ?? 0, name.length);
  }
  return best;
}

function protocolRank(wanted: readonly string[], offered: readonly string[]): number | undefined {
  if (wanted.length === 0) return 0;
  const index = offered.findIndex((protocol) => wanted.includes(protocol));
  return index < 0 ? undefined : offered.length - index;
}

function comesFromHere({ local, directRemote }: ConnectionTraits): boolean {
  const { address } = directRemote;
  return address === local.address || address === "::1" || address.startsWith("127.");
}
