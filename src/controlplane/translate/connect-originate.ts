import { create } from "@bufbuild/protobuf";
import { ListenerSchema, TcpProxySchema, type Listener } from "../../wire/envoy/index.ts";
import { connectOriginateName } from "./cluster.ts";
import { filterInit } from "./filter-init.ts";
import { originalDestination } from "./listener-filters.ts";

/** The internal listener that tunnels each connection to an HBONE endpoint, by a CONNECT to the endpoint's address. */
export function connectOriginateListener(): Listener {
  const config = {
    statPrefix: connectOriginateName,
    clusterSpecifier: { case: "cluster", value: connectOriginateName },
    tunnelingConfig: { hostname: "%DOWNSTREAM_LOCAL_ADDRESS%" },
  } as const;
  return create(ListenerSchema, {
    name: connectOriginateName,
    listenerSpecifier: { case: "internalListener", value: {} },
    useOriginalDst: false,
    listenerFilters: [originalDestination()],
    filterChains: [{ filters: [filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, config)] }],
  });
}
