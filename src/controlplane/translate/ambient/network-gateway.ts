import { create } from "@bufbuild/protobuf";
import type { CollectionReader } from "../../../kube/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import { GatewayAddressSchema, type Address, type GatewayAddress } from "../../../wire/workload/index.ts";
import { describedGatewayOf, type AmbientGateway, type AmbientGateways } from "../../model/ambient/ambient-networks.ts";
import { addressBytes } from "../../model/ip-address.ts";

/** The address of a network's gateway, as workloads behind it refer to it. */
export function gatewayReference({ namespace, network, address, hbonePort: port }: AmbientGateway): GatewayAddress {
  const bytes = addressBytes(address);
  return create(GatewayAddressSchema, {
    destination:
      bytes === undefined
        ? { case: "hostname", value: { namespace, hostname: address } }
        : { case: "address", value: { network, address: bytes } },
    hboneMtlsPort: port === 0 ? hbonePort : port,
  });
}

/**
 * Adds the gateway of its network to a workload, if a Gateway of the control plane's cluster describes one. As in
 * upstream Istio, a workload of the own network also has it, because another network may use it.
 */
export function behindGateway(address: Address, gateways: AmbientGateways, reader: CollectionReader): Address {
  if (address.type.case !== "workload") return address;
  const workload = address.type.value;
  const gateway = describedGatewayOf(gateways, workload.network, reader);
  if (gateway !== undefined) workload.networkGateway = gatewayReference(gateway);
  return address;
}
