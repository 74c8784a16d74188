import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ClusterSchema, HttpProtocolOptionsSchema } from "../../wire/envoy/index.ts";
import { httpOptionsName } from "./cluster.ts";
import { passthroughOptions } from "./passthrough-cluster.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * Adapts a cluster with {@link passthroughOptions} to a proxy whose own config sets whether header names keep their
 * case. All proxies share the mesh's clusters, so only proxies that differ from the mesh get copies.
 */
export function withOwnHeaderCase(resource: EncodedResource, preserveHttp1HeaderCase: boolean): EncodedResource {
  const cluster = fromBinary(ClusterSchema, fromBinary(AnySchema, resource.any).value);
  const packedOptions = cluster.typedExtensionProtocolOptions[httpOptionsName];
  const options = packedOptions === undefined ? undefined : anyUnpack(packedOptions, HttpProtocolOptionsSchema);
  if (options?.upstreamProtocolOptions.case !== "useDownstreamProtocolConfig") return resource;
  const { httpProtocolOptions: before } = options.upstreamProtocolOptions.value;
  if ((before?.headerKeyFormat !== undefined) === preserveHttp1HeaderCase) return resource;
  cluster.typedExtensionProtocolOptions = passthroughOptions(preserveHttp1HeaderCase);
  return encodeResource(ClusterSchema, resource.name, cluster);
}
