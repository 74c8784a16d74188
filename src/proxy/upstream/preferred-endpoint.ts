/** The endpoint that a request names for its first attempt. */
export interface PreferredEndpoint {
  /** `ip:port`, as the cluster names its endpoints. */
  readonly name: string;
  /**
   * The status of the response if there is no such endpoint. If undefined, the cluster then chooses another endpoint.
   * If there is such an endpoint, but it cannot be used, the status is 503.
   */
  readonly statusWithoutIt: number | undefined;
}

/** An endpoint's status according to the control plane. */
export type EndpointStatus = "unknown" | "healthy" | "degraded" | "draining" | "unhealthy" | "timeout";

/** The statuses with which Envoy sends a request to the endpoint that it names, unless the cluster says otherwise. */
export const preferableStatuses: ReadonlySet<EndpointStatus> = new Set(["unknown", "healthy", "degraded"]);
