import { create, type DescMessage, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack, type Any, type Duration } from "@bufbuild/protobuf/wkt";
import {
  ApiConfigSource_ApiType,
  ApiVersion,
  MetadataSchema,
  type ConfigSourceSchema,
  type Metadata,
} from "../../wire/envoy/index.ts";
import type { ProviderCluster } from "../model/provider-cluster.ts";

export function packed<Schema extends DescMessage>(schema: Schema, init: MessageInitShape<Schema>): Any {
  return anyPack(schema, create(schema, init));
}

const msPerSecond = 1000;
const nanosPerMs = 1_000_000;

export function durationOfMs(ms: number): Pick<Duration, "seconds" | "nanos"> {
  const seconds = Math.floor(ms / msPerSecond);
  return { seconds: BigInt(seconds), nanos: (ms - seconds * msPerSecond) * nanosPerMs };
}

/** Metadata for filters, by the filter's name. */
export function filterMetadata(entries: Readonly<Record<string, JsonObject>>): Metadata {
  return create(MetadataSchema, { filterMetadata: { ...entries } });
}

/** A config source for resources over the same ADS stream. */
export const overAds = {
  configSourceSpecifier: { case: "ads", value: {} },
  initialFetchTimeout: durationOfMs(0),
  resourceApiVersion: ApiVersion.V3,
} as const satisfies MessageInitShape<typeof ConfigSourceSchema>;

const { initialFetchTimeout: _endless, ...overAdsInTime } = overAds;

/**
 * The source of secrets that may not exist yet. A proxy waits for such a secret only for a limited time, so that a
 * missing one does not block others.
 */
export const secretOverAds = overAdsInTime;

/** The source of certificates that the proxy's own agent serves, under the names that Istio uses. */
export const overAgentSds = {
  configSourceSpecifier: {
    case: "apiConfigSource",
    value: {
      apiType: ApiConfigSource_ApiType.GRPC,
      transportApiVersion: ApiVersion.V3,
      setNodeOnFirstMessageOnly: true,
      grpcServices: [{ targetSpecifier: { case: "envoyGrpc", value: { clusterName: "sds-grpc" } } }],
    },
  },
  initialFetchTimeout: durationOfMs(0),
  resourceApiVersion: ApiVersion.V3,
} as const satisfies MessageInitShape<typeof ConfigSourceSchema>;

/**
 * The source of secrets that another service serves by gRPC. The authority is the service's host, because a cluster
 * name has characters that are invalid in an authority.
 */
export function secretOverCluster({ host, cluster }: ProviderCluster) {
  return {
    configSourceSpecifier: {
      case: "apiConfigSource",
      value: {
        ...overAgentSds.configSourceSpecifier.value,
        grpcServices: [{ targetSpecifier: { case: "envoyGrpc", value: { clusterName: cluster, authority: host } } }],
      },
    },
    resourceApiVersion: ApiVersion.V3,
  } as const satisfies MessageInitShape<typeof ConfigSourceSchema>;
}

const { initialFetchTimeout: _never, ...overAgentInTime } = overAgentSds;

/** The source of files that may not exist yet, like {@link secretOverAds}. */
export const fileOverAgentSds = overAgentInTime;
