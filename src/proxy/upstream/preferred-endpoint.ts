export interface PreferredEndpoint {
  /** The endpoint's name in its cluster: `ip:port`. */
  readonly name: string;
  /**
   * The status of the response if there is no such endpoint. If undefined, the cluster then chooses another endpoint.
   * For an endpoint that exists and must get no requests, the status is 503.
   */
  readonly statusWithoutIt: number | undefined;
}

export type EndpointStatus = "unknown" | "healthy" | "degraded" | "draining" | "unhealthy" | "timeout";

/**
 * The statuses in which an endpoint gets the requests that name it, unless the cluster says otherwise. They are
 * Envoy's.
 */
export const preferableStatuses: ReadonlySet<EndpointStatus> = new Set(["unknown", "healthy", "degraded"]);
