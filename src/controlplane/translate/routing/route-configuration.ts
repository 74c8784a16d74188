import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  RouteConfigurationSchema,
  type RouteConfiguration,
  type VirtualHostSchema,
} from "../../../wire/envoy/index.ts";
import { overAds } from "../envoy-any.ts";

type VirtualHostInit = MessageInitShape<typeof VirtualHostSchema>;

export const maxDirectResponseBodyBytes = 1_048_576;

/** A route configuration that compares hosts without their port. */
export function routeConfiguration(name: string, virtualHosts: readonly VirtualHostInit[]): RouteConfiguration {
  return create(RouteConfigurationSchema, { ...settingsOf(name), virtualHosts: [...virtualHosts] });
}

function settingsOf(name: string) {
  return {
    name,
    validateClusters: false,
    maxDirectResponseBodySizeBytes: maxDirectResponseBodyBytes,
    ignorePortInHostMatching: true,
  };
}

/** A route configuration whose virtual hosts are sent separately, over the same stream. */
export function routeConfigurationByHosts(name: string): RouteConfiguration {
  return create(RouteConfigurationSchema, { ...settingsOf(name), vhds: { configSource: overAds } });
}

/** The virtual host of a gateway's port without routes, which answers every request with 404. */
export function nobody(port: number): VirtualHostInit {
  return { name: `blackhole:${port}`, domains: ["*"] };
}
