import { create, fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { RouteConfigurationSchema, VirtualHostSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * Adapts routes for proxies whose own config sets whether requests carry their attempt count (`x-envoy-attempt-count`).
 * All proxies share the mesh's virtual hosts, so only these few proxies get copies.
 */
export function withAttemptCount(
  typeUrl: string,
  resource: EncodedResource,
  includeRequestAttemptCount: boolean,
): EncodedResource {
  const { value } = fromBinary(AnySchema, resource.any);
  switch (typeUrl) {
    case typeUrls.route: {
      const table = fromBinary(RouteConfigurationSchema, value);
      const virtualHosts = table.virtualHosts.map((host) => ({ ...host, includeRequestAttemptCount }));
      return encodeResource(
        RouteConfigurationSchema,
        resource.name,
        create(RouteConfigurationSchema, { ...table, virtualHosts }),
      );
    }
    case typeUrls.virtualHost: {
      const host = create(VirtualHostSchema, { ...fromBinary(VirtualHostSchema, value), includeRequestAttemptCount });
      return encodeResource(VirtualHostSchema, resource.name, host);
    }
    default:
      return resource;
  }
}
