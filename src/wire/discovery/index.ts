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
  type Resource,
  ResourceSchema,
} from "#generated/proto/envoy/service/discovery/v3/discovery_pb.js";
export { type ProxyConfig, ProxyConfigSchema } from "#generated/proto/istio/mesh/v1alpha1/proxy-config_pb.js";
export {
  type ControlPlane,
  type Extension,
  type Locality,
  LocalitySchema,
  type Node,
  NodeSchema,
} from "#generated/proto/envoy/config/core/v3/base_pb.js";
export { type Status, StatusSchema } from "#generated/proto/google/rpc/status_pb.js";
export {
  type NameTable,
  type NameTable_NameInfo,
  NameTableSchema,
} from "#generated/proto/istio/networking/nds/v1/name-table_pb.js";
