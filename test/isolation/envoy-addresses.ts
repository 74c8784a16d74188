// Decides which addresses of endpoints an Envoy accepts. Serin's proxies accept others too.
import { isIP } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource } from "../../src/controlplane/translate/index.ts";
import { ClusterLoadAssignmentSchema, type Address } from "../../src/wire/envoy/index.ts";

/** The maximum length of a Unix socket's path, in bytes. The kernel has space for one more, which must be zero. */
const maxPathBytes = 107;

export function addressFaults({ name, any }: EncodedResource): string[] {
  const { endpoints } = fromBinary(ClusterLoadAssignmentSchema, fromBinary(AnySchema, any).value);
  return endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.flatMap(({ hostIdentifier }) => {
      const address = hostIdentifier.case === "endpoint" ? hostIdentifier.value.address?.address : undefined;
      const fault = faultOf(address);
      return fault === undefined ? [] : [`${name}: ${fault}`];
    }),
  );
}

function faultOf(address: Address["address"] | undefined): string | undefined {
  switch (address?.case) {
    case "socketAddress":
      return isIP(address.value.address) === 0 ? `malformed IP address: ${address.value.address}` : undefined;
    case "pipe": {
      const { path } = address.value;
      const isValid =
        path !== "" && Buffer.byteLength(path) <= maxPathBytes && (path.startsWith("@") || !path.includes("\0"));
      return isValid ? undefined : `malformed path of a Unix socket: ${JSON.stringify(path)}`;
    }
    case "envoyInternalAddress":
      return undefined;
    default:
      return `an endpoint with ${address?.case ?? "no address"}`;
  }
}
