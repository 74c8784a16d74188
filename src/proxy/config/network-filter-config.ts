import type { Filter, NetworkExtAuthz, NetworkRbac, NetworkSetFilterState } from "../../wire/envoy/index.ts";
import { NetworkExtAuthzFilter } from "../filters/network-ext-authz-filter.ts";
import type { NetworkFilter } from "../filters/network-filter.ts";
import { NetworkRbacFilter } from "../filters/rbac-filter.ts";
import { unsupported, type ConfigNotes } from "./config-check.ts";
import { compileNetworkExtAuthz } from "./ext-authz-config.ts";
import { tellFilterState } from "./filter-state-config.ts";
import { compileNetworkRbac } from "./rbac-config.ts";
import { unpackTyped } from "./transport-config.ts";

/** Filters that only report about a connection, or whose work the listener does. */
const passiveNames = new Set([
  "istio.stats",
  "istio.metadata_exchange",
  "istio_authn",
  "envoy.filters.network.set_filter_state",
  "connect_authority",
  "propagate_endpoint_metadata",
]);

/**
 * Compiles a network filter before the last one of a chain. Undefined for a filter that refuses nothing. Throws an
 * error that names an unsupported filter.
 */
export function compileNetworkFilter(message: Filter, where: string, notes: ConfigNotes): NetworkFilter | undefined {
  const here = `${where}: the network filter ${message.name}`;
  const config = message.configType.case === "typedConfig" ? unpackTyped(message.configType.value, here) : undefined;
  switch (config?.$typeName) {
    case "envoy.extensions.filters.network.rbac.v3.RBAC": {
      const rbac = config as NetworkRbac;
      return new NetworkRbacFilter(
        message.name,
        compileNetworkRbac(rbac, here, notes),
        notes.services.statistics,
        rbac.statPrefix,
      );
    }
    case "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz": {
      const authz = config as NetworkExtAuthz;
      return new NetworkExtAuthzFilter(
        message.name,
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
      if (passiveNames.has(message.name)) return undefined;
      throw unsupported(where, `the network filter ${message.name}`);
  }
}
