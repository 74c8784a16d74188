import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { RouteConfigurationSchema, type RouteConfiguration, type VirtualHostSchema } from "../../wire/envoy/index.ts";

type VirtualHostInit = MessageInitShape<typeof VirtualHostSchema>;

const maxDirectResponseBodyBytes = 1_048_576;

/** A table of routes to others; hosts are compared without their port. */
export function routeConfiguration(name: string, virtualHosts: readonly VirtualHostInit[]): RouteConfiguration {
  return create(RouteConfigurationSchema, { name, virtualHosts: [...virtualHosts], validateClusters: false, maxDirectResponseBodySizeBytes: maxDirectResponseBodyBytes, ignorePortInHostMatching: true });
}

/** Of a gateway's port without routes: every request is answered by 404. */
export function nobody(port: number): VirtualHostInit {
  return { name: `blackhole:${port}`, domains: ["*"] };
}
