/** Why the proxy responded itself, or why an exchange failed. Logs show the letters that Envoy uses. */
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
  overloadManager: 23,
} as const;

export type PlainFlag = (typeof responseFlags)[keyof typeof responseFlags];
declare const joint: unique symbol;
/** Two flags in one number: why no further attempt was made, and why the last attempt failed. */
type JointFlag = number & { readonly [joint]: true };
export type ResponseFlag = PlainFlag | JointFlag;

/** Why there was no further attempt, although the retry policy wanted one. */
export type UnretriedFlag = typeof responseFlags.upstreamRetryLimitExceeded | typeof responseFlags.upstreamOverflow;

const plainFlags = 32;
/** The number of different values, including those that join two flags. */
export const allFlags = 3 * plainFlags;

/** Joins two flags: why no further attempt was made, and why the last attempt failed. */
export function joinFlags(unretried: UnretriedFlag | undefined, cause: ResponseFlag): ResponseFlag {
  if (unretried === undefined) return cause;
  if (cause === responseFlags.none) return unretried;
  const group = unretried === responseFlags.upstreamRetryLimitExceeded ? 1 : 2;
  return (group * plainFlags + (cause % plainFlags)) as JointFlag;
}

/** The flags, in the order in which they were set. */
export function eachFlag(flag: ResponseFlag): readonly PlainFlag[] {
  const last = (flag % plainFlags) as PlainFlag;
  if (flag < plainFlags) return [last];
  return [flag < 2 * plainFlags ? responseFlags.upstreamRetryLimitExceeded : responseFlags.upstreamOverflow, last];
}

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
  "OM",
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
  "OverloadManagerTerminated",
];

export function flagNames(flag: ResponseFlag): string {
  return textOf(flag, names);
}

export function flagLetters(flag: ResponseFlag): string {
  return textOf(flag, letters);
}

function textOf(flag: ResponseFlag, texts: readonly string[]): string {
  if (flag < plainFlags) return texts[flag] ?? "-";
  return eachFlag(flag)
    .map((plain) => texts[plain] ?? "-")
    .join(",");
}
