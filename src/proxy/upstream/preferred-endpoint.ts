/** The endpoint that a request names for its first attempt. */
export interface PreferredEndpoint {
  /** `ip:port`, as the cluster names its endpoints. */
  readonly name: string;
  /** The status of the response if the endpoint cannot be used. Undefined: the cluster chooses another one. */
  readonly statusWithoutIt: number | undefined;
}

/** An endpoint's status according to the control plane. */
export type EndpointStatus = "unknown" | "healthy" | "degraded" | "draining" | "unhealthy" | "timeout";

/** The statuses with which Envoy sends a request to the endpoint that it names, unless the cluster says otherwise. */
export const preferableStatuses: ReadonlySet<EndpointStatus> = new Set(["unknown", "healthy", "degraded"]);
