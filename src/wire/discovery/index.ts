/** The discovery protocol itself (ADS), and the name table of proxies that answer DNS. */
export {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
  ResourceSchema,
} from "#generated/proto/envoy/service/discovery/v3/discovery_pb.js";
export { ProxyConfigSchema } from "#generated/proto/istio/mesh/v1alpha1/proxy-config_pb.js";
export { LocalitySchema, type Node, NodeSchema } from "#generated/proto/envoy/config/core/v3/base_pb.js";
export { StatusSchema } from "#generated/proto/google/rpc/status_pb.js";
export { type NameTable, NameTableSchema } from "#generated/proto/istio/networking/nds/v1/name-table_pb.js";
