import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ClusterSchema, HttpProtocolOptionsSchema } from "../../wire/envoy/index.ts";
import { httpOptionsName } from "./cluster.ts";
import { passthroughOptions } from "./passthrough-cluster.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/**
 * Adapts a cluster with {@link passthroughOptions} for proxies whose own config sets whether headers keep their case.
 * All proxies share the mesh's clusters, so only these few proxies get copies, and only if they differ from the mesh.
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
