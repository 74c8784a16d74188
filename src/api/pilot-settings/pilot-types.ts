export interface CertificateLifetimes {
  /** The lifetime of a certificate whose request asks for none. */
  readonly defaultSeconds: number;
  readonly maxSeconds: number;
}

/** Options of a root that control planes make themselves. Upstream's defaults replace absent ones. */
export interface SelfSignedOptions {
  readonly lifetimeMs: number;
  readonly rsaKeyBits: number;
  /** The root is renewed when this percentage of its lifetime remains. Undefined means never. */
  readonly gracePercent: number | undefined;
  /**
   * Whether to store the root in `cacerts`, marked as made by a control plane, unless there is an `istio-ca-secret`.
   */
  readonly inCacerts: boolean;
}

/** When proxies use HBONE, if their metadata allows it (ENABLE_HBONE). Waypoints and ztunnels always use it. */
export interface HboneSettings {
  /** Whether sidecars and gateways use HBONE towards workloads that accept no other mesh protocol. */
  readonly sent: boolean;
  /** Whether sidecars and gateways also use HBONE towards workloads that accept Istio's mutual TLS. */
  readonly preferred: boolean;
  readonly takenBySidecars: boolean;
}

/** The labels by which services ask for sessions. An empty name means that there is no such label. */
export interface SessionRules {
  /** Whether clients' proxies keep a session at one endpoint. */
  readonly enabled: boolean;
  /** Label of services whose clients keep their endpoint in a cookie: the cookie's name, and its path after a colon. */
  readonly cookieLabel: string;
  /** Label of services whose clients keep their endpoint in a header. */
  readonly headerLabel: string;
  /** Label of workloads that drain. They get only requests of existing sessions. */
  readonly drainingLabel: string;
}

/**
 * Which endpoints that are not ready proxies get. With `automatic`, they get all, unless a policy lets a proxy use
 * unhealthy endpoints. With `never`, they get only those of services that prefer near endpoints.
 */
export type UnreadyEndpoints = "always" | "automatic" | "never";

/** Which process fetches key sets from a rule's URL (PILOT_JWT_ENABLE_REMOTE_JWKS). */
export type KeySetFetcher = "control-plane" | "proxy-where-in-mesh" | "proxy";

/** Upstream's default of PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS. */
export const defaultDynamicDnsHosts = 1024;

export const defaultSessionRules: SessionRules = {
  enabled: false,
  cookieLabel: "istio.io/persistent-session",
  headerLabel: "istio.io/persistent-session-header",
  drainingLabel: "istio.io/draining",
};
