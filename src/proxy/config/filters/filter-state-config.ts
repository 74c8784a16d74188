import type { FilterStateValue } from "../../../wire/envoy/index.ts";
import type { ConfigNotes } from "../config-check.ts";

/**
 * Filter states that Istio's listeners record about tunnels and their ends. This proxy reads the same facts from the
 * connection, so nothing has to record them.
 */
const known: ReadonlySet<string> = new Set([
  "envoy.filters.listener.original_dst.local_ip",
  "envoy.filters.listener.original_dst.remote_ip",
  "envoy.network.transport_socket.original_dst_address",
  "io.istio.connect_authority",
  "io.istio.local_principal",
  "io.istio.peer_principal",
  "io.istio.source",
  "istio.double_hbone.hbone_target_address",
]);

/** Reports the values of a filter `set_filter_state` that this proxy does not store. */
export function tellFilterState(values: readonly FilterStateValue[], notes: ConfigNotes): void {
  for (const { key } of values) {
    const name = key.value ?? "(no key)";
    if (!known.has(name)) notes.ignored(`set_filter_state: ${name}`);
  }
}
