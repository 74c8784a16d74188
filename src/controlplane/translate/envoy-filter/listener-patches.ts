import type {
  Filter,
  FilterChain,
  HttpConnectionManager,
  HttpFilter,
  Listener,
  ListenerFilter,
} from "../../../wire/envoy/index.ts";
import type { EnvoyListenerMatch } from "../../../api/istio/index.ts";
import { isMerge, type CompiledPatch } from "./compiled-patch.ts";
import { patchList, type Patching } from "./patching.ts";

const virtualListeners: ReadonlySet<string> = new Set(["virtualInbound", "virtualOutbound"]);
const managerName = "envoy.filters.network.http_connection_manager";

/**
 * Applies all patches to a listener and its parts. Returns false if a patch removes it. The callback `routes` patches
 * the routes inside a connection manager.
 */
export function patchListener(
  listener: Listener,
  patching: Patching,
  routes: (manager: HttpConnectionManager, chain: FilterChain) => void,
): boolean {
  patchInlineRoutes(listener, patching, routes);
  for (const patch of patching.for("LISTENER")) {
    if (!listenerMatches(listener, patch)) continue;
    if (patch.operation === "REMOVE") return false;
    if (isMerge(patch.operation)) patching.attempt(patch, () => patching.merge(listener, patch));
  }
  for (const patch of patching.for("LISTENER_FILTER"))
    if (listenerMatches(listener, patch)) patchListenerFilters(listener.listenerFilters, patch, patching);
  patchChains(listener, patching);
  return true;
}

function patchInlineRoutes(
  listener: Listener,
  patching: Patching,
  routes: (manager: HttpConnectionManager, chain: FilterChain) => void,
): void {
  for (const chain of chainsOf(listener)) {
    for (const filter of chain.filters) {
      const manager = patching.managerOf(filter);
      if (manager?.routeSpecifier.case !== "routeConfig") continue;
      routes(manager, chain);
      if (patching.changed) patching.setManager(filter, manager);
    }
  }
}

export function chainsOf(listener: Listener): readonly FilterChain[] {
  return listener.defaultFilterChain === undefined
    ? listener.filterChains
    : [...listener.filterChains, listener.defaultFilterChain];
}

function patchListenerFilters(filters: ListenerFilter[], patch: CompiledPatch, patching: Patching): void {
  const wanted = patch.match.listener?.listenerFilter;
  const matches = wanted === undefined ? undefined : (filter: ListenerFilter): boolean => filter.name === wanted;
  if (patch.operation === "MERGE") {
    for (const filter of filters)
      if (matches?.(filter) === true)
        patching.attempt(patch, () => mergeTyped(filter, patch, patching, { renames: false }));
    return;
  }
  patching.attempt(patch, () => patchList(filters, patch, matches, () => patching.valueOf(patch)));
}

/** Drops chains without filters, because Envoy rejects them. */
function patchChains(listener: Listener, patching: Patching): void {
  listener.filterChains = listener.filterChains.filter(
    (chain) => chain.filters.length > 0 && patchChain(listener, chain, patching),
  );
  const { defaultFilterChain } = listener;
  if (defaultFilterChain !== undefined && !patchChain(listener, defaultFilterChain, patching))
    delete listener.defaultFilterChain;
  for (const patch of patching.for("FILTER_CHAIN")) {
    if (patch.operation === "ADD" && listenerMatches(listener, patch))
      patching.attempt(patch, () => listener.filterChains.push(patching.valueOf(patch)) > 0);
  }
}

function patchChain(listener: Listener, chain: FilterChain, patching: Patching): boolean {
  for (const patch of patching.for("FILTER_CHAIN")) {
    if (!listenerMatches(listener, patch) || !chainMatches(listener, chain, patch)) continue;
    if (patch.operation === "REMOVE") {
      patching.changed = true;
      return false;
    }
    if (isMerge(patch.operation))
      patching.attempt(patch, () => mergeSocket(chain, patch, patching) || patching.merge(chain, patch));
  }
  patchNetworkFilters(listener, chain, patching);
  return true;
}

/** Merges the configurations of two transport sockets with the same name. The patch's other fields are then ignored. */
function mergeSocket(chain: FilterChain, patch: CompiledPatch, patching: Patching): boolean {
  const wanted = patching.valueOf<FilterChain>(patch).transportSocket;
  const socket = chain.transportSocket;
  if (wanted === undefined || socket === undefined || wanted.name !== socket.name) return false;
  if (socket.configType.case === "typedConfig" && wanted.configType.case === "typedConfig")
    socket.configType.value = patching.mergedAny(socket.configType.value, wanted.configType.value);
  return true;
}

function patchNetworkFilters(listener: Listener, chain: FilterChain, patching: Patching): void {
  const here = (patch: CompiledPatch): boolean =>
    listenerMatches(listener, patch) && chainMatches(listener, chain, patch);
  const network = patching.for("NETWORK_FILTER").filter(here);
  for (const patch of network) {
    const wanted = filterMatch(patch)?.filter;
    patching.attempt(patch, () =>
      patchList(chain.filters, patch, wanted === undefined ? undefined : (filter) => filter.name === wanted, () =>
        patching.valueOf<Filter>(patch),
      ),
    );
  }
  const http = patching.for("HTTP_FILTER").filter(here);
  for (const filter of chain.filters) {
    for (const patch of network) {
      if (patch.operation === "MERGE" && isFilter(filter, patch))
        patching.attempt(patch, () => mergeTyped(filter, patch, patching));
    }
    const mine = http.filter((patch) => isFilter(filter, patch));
    if (filter.name === managerName && mine.length > 0) patchHttpFilters(filter, mine, patching);
  }
}

function patchHttpFilters(filter: Filter, patches: readonly CompiledPatch[], patching: Patching): void {
  const manager = patching.managerOf(filter);
  if (manager === undefined) return;
  for (const patch of patches) {
    const wanted = filterMatch(patch)?.subFilter;
    patching.attempt(patch, () =>
      patchList(manager.httpFilters, patch, wanted === undefined ? undefined : (inner) => inner.name === wanted, () =>
        patching.valueOf<HttpFilter>(patch),
      ),
    );
  }
  for (const inner of manager.httpFilters) {
    for (const patch of patches) {
      const wanted = filterMatch(patch)?.subFilter;
      if (patch.operation === "MERGE" && (wanted === undefined || wanted === inner.name))
        patching.attempt(patch, () => mergeTyped(inner, patch, patching));
    }
  }
  patching.setManager(filter, manager);
}

function mergeTyped(
  filter: Filter | HttpFilter | ListenerFilter,
  patch: CompiledPatch,
  patching: Patching,
  { renames }: { readonly renames: boolean } = { renames: true },
): boolean {
  if (filter.configType.case !== "typedConfig") return false;
  const wanted = patching.valueOf<Filter>(patch);
  if (wanted.configType.case === "typedConfig")
    filter.configType.value = patching.mergedAny(filter.configType.value, wanted.configType.value);
  if (renames && wanted.name !== "") filter.name = wanted.name;
  return true;
}

/**
 * Whether the patch selects the listener. For parts of a virtual listener, the filter chains decide whether the patch's
 * port matches.
 */
function listenerMatches(listener: Listener, { applyTo, match }: CompiledPatch): boolean {
  const wanted = match.listener;
  if (wanted === undefined) return true;
  if (wanted.name !== undefined && wanted.name !== listener.name) return false;
  if (applyTo !== "LISTENER" && virtualListeners.has(listener.name)) return true;
  return wanted.portNumber === undefined || portOf(listener) === wanted.portNumber;
}

export function portOf({ address }: Listener): number | undefined {
  const socket = address?.address;
  return socket?.case === "socketAddress" && socket.value.portSpecifier.case === "portValue"
    ? socket.value.portSpecifier.value
    : undefined;
}

function chainMatches(listener: Listener, chain: FilterChain, { match }: CompiledPatch): boolean {
  const wanted = match.listener;
  if (wanted === undefined) return true;
  const port = chain.filterChainMatch?.destinationPort;
  if (virtualListeners.has(listener.name) && wanted.portNumber !== undefined && port !== wanted.portNumber)
    return false;
  return chainIs(chain, wanted);
}

function chainIs({ name, filterChainMatch: match }: FilterChain, { filterChain: wanted }: EnvoyListenerMatch): boolean {
  if (wanted === undefined) return true;
  const is = <Value>(expected: Value | undefined, found: Value | undefined): boolean =>
    expected === undefined || expected === found;
  return (
    is(wanted.name, name) &&
    (wanted.sni === undefined || match?.serverNames.includes(wanted.sni) === true) &&
    is(wanted.transportProtocol, match?.transportProtocol) &&
    wanted.applicationProtocols.every((protocol) => match?.applicationProtocols.includes(protocol) === true) &&
    is(wanted.destinationPort, match?.destinationPort)
  );
}

function filterMatch({ match }: CompiledPatch): EnvoyListenerMatch["filterChain"] {
  return match.listener?.filterChain;
}

function isFilter(filter: Filter, patch: CompiledPatch): boolean {
  const wanted = filterMatch(patch)?.filter;
  return wanted === undefined || wanted === filter.name;
}
