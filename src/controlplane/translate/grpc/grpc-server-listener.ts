import { create, fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  HttpConnectionManagerSchema,
  HttpRbacSchema,
  ListenerSchema,
  RouterSchema,
  type FilterChain,
  type HttpConnectionManager,
} from "../../../wire/envoy/index.ts";
import { tcpAddress } from "../envoy-address.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { encodeResource, messageBytes, type EncodedResource } from "../resource.ts";
import { grpcRbac } from "./grpc-rbac.ts";
import { grpcServerTls, isMeshServerTls } from "./grpc-tls.ts";

export interface GrpcServerAddress {
  readonly host: string;
  readonly port: number;
}

/** The agent's bootstrap file sets this prefix (`server_listener_resource_name_template`). */
const namePrefix = "xds.istio.io/grpc/lds/inbound/";

/** Parses the name under which a gRPC server requests the listener of an address such as `0.0.0.0:80` or `[::]:80`. */
export function grpcServerAddress(name: string): GrpcServerAddress | undefined {
  if (!name.startsWith(namePrefix)) return undefined;
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(name.slice(namePrefix.length));
  return found === null ? undefined : { host: found[1] ?? found[2] ?? "", port: Number(found[3]) };
}

/**
 * The listener of a gRPC server, with the mutual TLS and authorization that the inbound listener of a sidecar would
 * have. Undefined if no service has the port, or if the port has other TLS than Istio's. gRPC has no permissive mode: a
 * server in permissive mode accepts either only plain text or, with `announcesTls`, only mutual TLS. `announcesTls`
 * says that a label of the server's pod announces mutual TLS to clients.
 */
export function grpcServerListener(
  name: string,
  { host, port }: GrpcServerAddress,
  inbound: EncodedResource,
  announcesTls: boolean,
): EncodedResource | undefined {
  const { filterChains } = fromBinary(ListenerSchema, messageBytes(inbound));
  const own = filterChains.filter(({ filterChainMatch }) => filterChainMatch?.destinationPort === port);
  const sockets = own.map(({ transportSocket }) => transportSocket);
  if (own.length === 0 || sockets.some((socket) => socket !== undefined && !isMeshServerTls(socket))) return undefined;
  const takesPlaintext = sockets.includes(undefined);
  const takesTls = sockets.some((socket) => socket !== undefined);
  const mutualTls = takesTls && (announcesTls || !takesPlaintext);
  return encodeResource(
    ListenerSchema,
    name,
    create(ListenerSchema, {
      name,
      address: { address: tcpAddress(host, port) },
      filterChains: [
        {
          name: mutualTls ? "inbound-mtls" : "inbound-plaintext",
          filters: [managerOf(authorizationOf(filterChains))],
          ...(mutualTls ? { transportSocket: grpcServerTls() } : {}),
        },
      ],
    }),
  );
}

/** The authorization filters of the workload, which are the same in each HTTP chain. A TCP port has none. */
function authorizationOf(chains: readonly FilterChain[]): readonly FilterInit[] {
  const manager = chains.map(managerIn).find((found) => found !== undefined);
  const enforced = (manager?.httpFilters ?? []).flatMap((filter) => {
    const rbac =
      filter.configType.case === "typedConfig" ? anyUnpack(filter.configType.value, HttpRbacSchema) : undefined;
    return (rbac === undefined ? undefined : grpcRbac(rbac)) ?? [];
  });
  // gRPC refuses two filters of one name, so number them.
  return enforced.map((rbac, index) => filterInit(`envoy.filters.http.rbac.${index}`, HttpRbacSchema, rbac));
}

function managerIn({ filters }: FilterChain): HttpConnectionManager | undefined {
  for (const { configType } of filters) {
    if (configType.case !== "typedConfig") continue;
    const manager = anyUnpack(configType.value, HttpConnectionManagerSchema);
    if (manager !== undefined) return manager;
  }
  return undefined;
}

/** Passes calls to the application, which is the listener's own server. */
function managerOf(authorization: readonly FilterInit[]): FilterInit {
  return filterInit("inbound", HttpConnectionManagerSchema, {
    routeSpecifier: {
      case: "routeConfig",
      value: {
        name: "inbound",
        virtualHosts: [
          {
            name: "inbound",
            domains: ["*"],
            routes: [
              {
                match: { pathSpecifier: { case: "prefix", value: "/" } },
                action: { case: "nonForwardingAction", value: {} },
              },
            ],
          },
        ],
      },
    },
    httpFilters: [...authorization, filterInit("envoy.filters.http.router", RouterSchema, {})],
  });
}
