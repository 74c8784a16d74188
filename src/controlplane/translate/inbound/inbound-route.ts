import type { MessageInitShape } from "@bufbuild/protobuf";
import type { RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { durationOfMs } from "../envoy-any.ts";

const none = durationOfMs(0);

/**
 * The route for all requests to one cluster. It has no timeout, because the client's proxy sets one. A request that
 * never reached the application is retried, because the application may just have closed an idle connection. gRPC
 * streams are not retried, because a retry would have to buffer them.
 */
export function inboundRoute(
  cluster: string,
  port: number,
  host: string,
  grpc: boolean,
): MessageInitShape<typeof RouteConfigurationSchema> {
  return {
    name: cluster,
    validateClusters: false,
    virtualHosts: [
      {
        name: `inbound|http|${port}`,
        domains: ["*"],
        routes: [
          {
            name: "default",
            match: { pathSpecifier: { case: "prefix", value: "/" } },
            decorator: { operation: `${host}:${port}/*` },
            action: {
              case: "route",
              value: {
                clusterSpecifier: { case: "cluster", value: cluster },
                timeout: none,
                maxStreamDuration: { maxStreamDuration: none, grpcTimeoutHeaderMax: none },
                ...(grpc ? {} : { retryPolicy: { retryOn: "reset-before-request", numRetries: 2 } }),
              },
            },
          },
        ],
      },
    ],
  };
}
