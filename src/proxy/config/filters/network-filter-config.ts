import type { NetworkExtAuthz, NetworkRbac, NetworkSetFilterState } from "../../../wire/envoy/index.ts";
import { NetworkExtAuthzFilter } from "../../filters/authorization/network-ext-authz-filter.ts";
import type { NetworkFilter } from "../../filters/network-filter.ts";
import { NetworkRbacFilter } from "../../filters/authorization/rbac-filter.ts";
import { unsupported, type ConfigNotes } from "../config-check.ts";
import { compileNetworkExtAuthz } from "./ext-authz-config.ts";
import { tellFilterState } from "./filter-state-config.ts";
import { compileNetworkRbac } from "./rbac-config.ts";
import type { unpack } from "../typed-struct.ts";

/** Filters that only report about a connection, or whose work the listener already does. */
const passiveNames = new Set([
  "istio.stats",
  "istio.metadata_exchange",
  "istio_authn",
  "envoy.filters.network.set_filter_state",
  "connect_authority",
  "propagate_endpoint_metadata",
]);

/**
 * Compiles a network filter before the last one of a chain. `config` is its configuration, or undefined if this proxy
 * does not know the type. Returns undefined for a filter that never refuses a connection. Throws an error that names an
 * unsupported filter.
 */
export function compileNetworkFilter(
  name: string,
  config: ReturnType<typeof unpack>,
  where: string,
  notes: ConfigNotes,
): NetworkFilter | undefined {
  const here = `${where}: the network filter ${name}`;
  switch (config?.$typeName) {
    case "envoy.extensions.filters.network.rbac.v3.RBAC": {
      const rbac = config as NetworkRbac;
      return new NetworkRbacFilter(name, compileNetworkRbac(rbac, here, notes), notes.services, rbac.statPrefix);
    }
    case "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz": {
      const authz = config as NetworkExtAuthz;
      return new NetworkExtAuthzFilter(
        name,
        compileNetworkExtAuthz(authz, here, notes),
        notes.services.statistics,
        authz.statPrefix,
      );
    }
    case "envoy.extensions.filters.network.set_filter_state.v3.Config":
      tellFilterState((config as NetworkSetFilterState).onNewConnection, notes);
      return undefined;
    case "stats.PluginConfig":
      return undefined;
    default:
      if (passiveNames.has(name)) return undefined;
      throw unsupported(where, `the network filter ${name}`);
  }
}
