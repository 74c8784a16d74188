import { create, fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { RouteConfigurationSchema, VirtualHostSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * Routes for proxies whose own config says whether requests tell how often they were tried (`x-envoy-attempt-count`). All
 * proxies share virtual hosts as the mesh has them, so that those few with a word of their own get copies.
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
