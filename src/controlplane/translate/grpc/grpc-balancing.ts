import { create, toBinary } from "@bufbuild/protobuf";
import { AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Cluster_LbPolicy, ClusterSchema, type Cluster } from "../../../wire/envoy/index.ts";

/**
 * How a gRPC client balances the load of an Envoy cluster. All clients know ROUND_ROBIN and RING_HASH. Some do not know
 * LEAST_REQUEST and refuse a cluster with it, so it is sent only if a DestinationRule asks for it.
 */
export function grpcBalancing({
  lbPolicy,
  lbConfig,
}: Cluster): Partial<Pick<Cluster, "lbPolicy" | "lbConfig" | "loadBalancingPolicy">> {
  if (lbPolicy === Cluster_LbPolicy.RING_HASH) return { lbPolicy, lbConfig };
  if (lbPolicy === Cluster_LbPolicy.LEAST_REQUEST && lbConfig.case === "leastRequestLbConfig")
    return { lbPolicy, ...leastRequestFirst() };
  return { lbPolicy: Cluster_LbPolicy.ROUND_ROBIN };
}

/**
 * The field that replaces `lb_policy`: current clients take the first policy of its list that they know. A client that
 * knows neither this field nor LEAST_REQUEST refuses the cluster, as it would refuse istiod's.
 */
function leastRequestFirst(): Partial<Pick<Cluster, "loadBalancingPolicy">> {
  const { loadBalancingPolicy } = create(ClusterSchema, { loadBalancingPolicy: {} });
  if (loadBalancingPolicy === undefined) return {};
  const pickers = [policy("least_request.v3.LeastRequest"), policy("round_robin.v3.RoundRobin")];
  // `WrrLocality.endpoint_picking_policy` is a list of policies, too.
  const list = policy(
    "wrr_locality.v3.WrrLocality",
    field(1, Buffer.concat(pickers.map((picker) => field(1, picker)))),
  );
  loadBalancingPolicy.$unknown = [
    { no: 1, wireType: WireType.LengthDelimited, data: new BinaryWriter().bytes(list).finish() },
  ];
  return { loadBalancingPolicy };
}

const typePrefix = "type.googleapis.com/envoy.extensions.load_balancing_policies.";

/** Encodes a `LoadBalancingPolicy.Policy`, whose only field is a `TypedExtensionConfig`. */
function policy(type: string, value: Uint8Array = new Uint8Array()): Uint8Array {
  const config: Any = create(AnySchema, { typeUrl: `${typePrefix}${type}`, value });
  const named = new BinaryWriter().tag(1, WireType.LengthDelimited).string(type);
  return field(4, named.tag(2, WireType.LengthDelimited).bytes(toBinary(AnySchema, config)).finish());
}

function field(number: number, message: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(message).finish();
}
