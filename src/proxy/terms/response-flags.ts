/** Why the proxy responded itself, or why an exchange failed. The letters are those of Envoy. */
export const responseFlags = {
  none: 0,
  noHealthyUpstream: 1,
  upstreamConnectionFailure: 2,
  upstreamConnectionTermination: 3,
  upstreamRemoteReset: 4,
  noRouteFound: 5,
  noClusterFound: 6,
  upstreamRequestTimeout: 7,
  upstreamOverflow: 8,
  downstreamConnectionTermination: 9,
  downstreamProtocolError: 10,
  upstreamProtocolError: 11,
  streamIdleTimeout: 12,
  upstreamRetryLimitExceeded: 13,
  faultInjected: 14,
  delayInjected: 15,
  rateLimited: 16,
  unauthorizedExternal: 17,
  durationTimeout: 18,
  dnsResolutionFailed: 19,
  noFilterConfigFound: 20,
  rateLimitServiceError: 21,
  failedLocalHealthCheck: 22,
} as const;

export type ResponseFlag = (typeof responseFlags)[keyof typeof responseFlags];

const letters = [
  "-",
  "UH",
  "UF",
  "UC",
  "UR",
  "NR",
  "NC",
  "UT",
  "UO",
  "DC",
  "DPE",
  "UPE",
  "SI",
  "URX",
  "FI",
  "DI",
  "RL",
  "UAEX",
  "DT",
  "DF",
  "NFCF",
  "RLSE",
  "LH",
];

const names = [
  "-",
  "NoHealthyUpstream",
  "UpstreamConnectionFailure",
  "UpstreamConnectionTermination",
  "UpstreamRemoteReset",
  "NoRouteFound",
  "NoClusterFound",
  "UpstreamRequestTimeout",
  "UpstreamOverflow",
  "DownstreamConnectionTermination",
  "DownstreamProtocolError",
  "UpstreamProtocolError",
  "StreamIdleTimeout",
  "UpstreamRetryLimitExceeded",
  "FaultInjected",
  "DelayInjected",
  "RateLimited",
  "UnauthorizedExternalService",
  "DurationTimeout",
  "DnsResolutionFailed",
  "NoFilterConfigFound",
  "RateLimitServiceError",
  "FailedLocalHealthCheck",
];

/** The flags by Envoy's letters. */
export function flagNames(flag: ResponseFlag): string {
  return names[flag] ?? "-";
}

export function flagLetters(flag: ResponseFlag): string {
  return letters[flag] ?? "-";
}
