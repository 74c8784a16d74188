import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { PeerMetadataExchange } from "../http/http-connection-config.ts";
import { furtherLabelNames, noLabelNames } from "../peers/peer-metadata.ts";
import { typedJsonOf } from "./typed-struct.ts";

const httpType = "type.googleapis.com/io.istio.http.peer_metadata.Config";

/** The filter, in chains and in clusters, by which peers exchange metadata if ALPN agrees on it. */
export const peerExchangeFilter = "istio.metadata_exchange";

export const noHttpExchange: PeerMetadataExchange = {
  readFromClient: false,
  writeToClient: false,
  readFromUpstream: false,
  writeToUpstream: false,
  inMeshOnly: false,
  labelNames: noLabelNames,
};

/** Istio's exchange of peer metadata over HTTP. Undefined for any other filter. */
export function compileHttpExchange(any: Any): PeerMetadataExchange | undefined {
  const json = typedJsonOf(any);
  if (json?.typeUrl !== httpType) return undefined;
  const { value } = json;
  const headersOf = (field: string): object | undefined => {
    const methods: unknown = value[field];
    const found: unknown = Array.isArray(methods)
      ? methods.find((method) => typeof method === "object" && method !== null && "istio_headers" in method)
      : undefined;
    const headers: unknown =
      typeof found === "object" && found !== null ? Reflect.get(found, "istio_headers") : undefined;
    return found === undefined ? undefined : typeof headers === "object" && headers !== null ? headers : {};
  };
  const byHeaders = (field: string): boolean => headersOf(field) !== undefined;
  return {
    readFromClient: byHeaders("downstream_discovery"),
    writeToClient: byHeaders("downstream_propagation"),
    readFromUpstream: byHeaders("upstream_discovery"),
    writeToUpstream: byHeaders("upstream_propagation"),
    inMeshOnly: Reflect.get(headersOf("upstream_propagation") ?? {}, "skip_external_clusters") === true,
    labelNames: labelNamesIn(value),
  };
}

export function joinHttpExchanges(left: PeerMetadataExchange, right: PeerMetadataExchange): PeerMetadataExchange {
  return {
    readFromClient: left.readFromClient || right.readFromClient,
    writeToClient: left.writeToClient || right.writeToClient,
    readFromUpstream: left.readFromUpstream || right.readFromUpstream,
    writeToUpstream: left.writeToUpstream || right.writeToUpstream,
    inMeshOnly: left.inMeshOnly || right.inMeshOnly,
    labelNames: furtherLabelNames([...left.labelNames, ...right.labelNames]),
  };
}

interface TcpExchange {
  /** Whether peers of raw TCP connections may identify themselves before the first byte. */
  readonly exchangesPeers: boolean;
  readonly peerLabelNames: readonly string[];
}

/** The exchange of peer metadata over raw TCP connections, as the filters of a chain or a cluster configure it. */
export function compileTcpExchange<Filter extends { readonly name: string }>(
  filters: readonly Filter[],
  configOf: (filter: Filter) => Any | undefined,
): TcpExchange {
  const filter = filters.find(({ name }) => name === peerExchangeFilter);
  if (filter === undefined) return { exchangesPeers: false, peerLabelNames: noLabelNames };
  const config = configOf(filter);
  return { exchangesPeers: true, peerLabelNames: labelNamesIn((config && typedJsonOf(config))?.value ?? {}) };
}

function labelNamesIn({ additional_labels: names }: JsonObject): readonly string[] {
  return Array.isArray(names) ? furtherLabelNames(names.filter((name) => typeof name === "string")) : noLabelNames;
}
