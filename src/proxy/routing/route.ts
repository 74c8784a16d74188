import type { Random } from "../../base/index.ts";
import type { CorsPolicy } from "./cors.ts";
import type { HashPolicy } from "./hash-policy.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { HeaderMutation, MutationContext } from "./header-mutation.ts";
import type { PathCondition, RequestMatcher } from "./matchers.ts";
import type { RequestView } from "./request-view.ts";

export interface Route {
  /** The configured name. Logs show `-` if it is empty. */
  readonly name: string;
  readonly matches: RequestMatcher;
  /** The part of {@link matches} that concerns the path. Undefined if the route may match any path. */
  readonly path?: PathCondition;
  /** Whether the route is for CONNECT. A CONNECT request matches only such routes. */
  readonly forConnect: boolean;
  readonly action: RouteAction;
  /** The header changes by level, the most specific first: route, virtual host, table. */
  readonly requestMutations: readonly HeaderMutation[];
  readonly responseMutations: readonly HeaderMutation[];
  readonly cors: CorsPolicy | undefined;
  /**
   * The configurations of filters by the filter's name, from the route, its virtual host or its table. Each filter
   * knows its own type.
   */
  readonly filterConfigs: ReadonlyMap<string, object>;
  /** Metadata of the route for filters, by the filter's name. `hostMetadata` is that of its virtual host. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly hostMetadata?: Readonly<Record<string, unknown>>;
  /** The name of a request's operation in traces. Undefined if none is set. */
  readonly operation?: string;
}

export type RouteAction = ForwardAction | RedirectAction | DirectResponseAction;

export interface ForwardAction {
  readonly kind: "forward";
  readonly target: ClusterChoice;
  readonly clusterNotFoundStatus: number;
  readonly rewritePath: ((path: string) => string) | undefined;
  readonly rewriteHost: string | undefined;
  /** Whether the endpoint's hostname replaces the host. */
  readonly autoHostRewrite: boolean;
  /** Whether `x-forwarded-host` tells the upstream the host before the route's rewrite. */
  readonly appendForwardedHost: boolean;
  /**
   * How long the response may take, from the end of the request to the end of the response, in milliseconds. 0 means no
   * limit.
   */
  readonly timeoutMs: number;
  /** How the deadline that a gRPC client sends replaces the timeout. Undefined if it does not. */
  readonly grpcTimeout: GrpcTimeout | undefined;
  /**
   * The limit from the beginning of the request to the end of the response. If it is set, {@link timeoutMs} and {@link
   * grpcTimeout} do not apply.
   */
  readonly stream: { readonly maxMs: number; readonly grpcTimeout: GrpcTimeout | undefined } | undefined;
  /** The maximum time without progress, in milliseconds. Undefined means the listener's limit, and 0 no limit. */
  readonly idleTimeoutMs: number | undefined;
  /** The sources of a request's hash, for clusters that choose endpoints by hash. */
  readonly hashPolicies: readonly HashPolicy[];
  readonly retry: RetryPolicy | undefined;
  readonly mirrors: readonly Mirror[];
  /** The protocols (lower case) to which the route allows or forbids an upgrade. They override the listener's. */
  readonly upgrades: ReadonlyMap<string, boolean>;
  readonly includeAttemptCount: boolean;
  /** How requests are described to rate limits. Absent if neither the route nor its virtual host describes them. */
  readonly rateLimits?: RouteRateLimits;
}

/** The parts of a request that a rate limit may read, after the edits of earlier filters. */
export interface DescribedRequest extends RequestView {
  readonly connection: ConnectionInfo;
  /** The client's address without port, from `x-forwarded-for` only if the listener trusts that header. */
  readonly clientAddress: string;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  readonly route: Route | undefined;
  readonly metadata: ReadonlyMap<string, unknown>;
  header(name: string): string | undefined;
  values(name: string): readonly string[];
  isAsReceived(name: string): boolean;
  headers(): Iterable<readonly [name: string, value: string]>;
  valueContext(response: undefined): MutationContext;
  /**
   * The name of the route's cluster. If the route chooses by weight, the first read makes the choice for the whole
   * request.
   */
  readonly cluster: string | undefined;
}

export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

/**
 * Identifies the limits towards which a request counts. A limit applies if it has exactly these entries in this order.
 */
export interface Descriptor {
  readonly entries: readonly DescriptorEntry[];
  /**
   * The limit that a rate limit service applies instead of its own. `unit` is the number of a time unit in Envoy's
   * enumeration.
   */
  readonly limit?: { readonly requestsPerUnit: number; readonly unit: number };
  /** The number of requests that this request counts as. Absent means one. */
  readonly hits?: DescriptorHits;
}

export interface DescriptorHits {
  readonly count: number;
  /** Whether the hits are given back to the limit instead of taken from it. */
  readonly refills: boolean;
}

/** One rule by which requests are described to the rate limits of a stage. */
export interface RateLimitRule {
  readonly stage: number;
  /** Makes the descriptor of a request. Returns undefined if this rule does not apply to it. */
  readonly describe: (request: DescribedRequest) => Descriptor | undefined;
}

export interface RouteRateLimits {
  readonly ofRoute: readonly RateLimitRule[];
  readonly ofHost: readonly RateLimitRule[];
  /**
   * Whether the rules of the virtual host apply in addition to the route's, even if the filter's settings exclude them.
   */
  readonly includeHost: boolean;
}

export interface GrpcTimeout {
  /** The maximum time that a client's deadline may set, in milliseconds. 0 means no limit. */
  readonly maxMs: number;
  /** The time that is subtracted from the client's deadline, so that the proxy responds before the client gives up. */
  readonly offsetMs: number;
}

export type ClusterChoice =
  | { readonly kind: "one"; readonly cluster: string }
  | { readonly kind: "header"; readonly header: string }
  | { readonly kind: "weighted"; readonly totalWeight: number; readonly clusters: readonly WeightedCluster[] };

export interface WeightedCluster {
  readonly cluster: string;
  readonly weight: number;
  readonly hostRewrite: string | undefined;
  readonly requestMutation: HeaderMutation | undefined;
  readonly responseMutation: HeaderMutation | undefined;
}

export interface RetryPolicy {
  readonly on: RetryConditions;
  readonly retries: number;
  /** The time limit of each attempt, in milliseconds. 0 means no limit. */
  readonly perTryTimeoutMs: number;
  readonly baseIntervalMs: number;
  readonly maxIntervalMs: number;
  readonly retriableStatusCodes: readonly number[];
  /** Whether retries prefer an endpoint that was not tried before. */
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionAttempts: number;
  /**
   * After each time this many attempts were made, further attempts leave out the priorities tried so far. Undefined
   * means that none is left out.
   */
  readonly otherPrioritiesAfter: number | undefined;
}

export interface RetryConditions {
  readonly connectFailure: boolean;
  readonly reset: boolean;
  readonly resetBeforeRequest: boolean;
  readonly refusedStream: boolean;
  readonly serverError: boolean;
  readonly gatewayError: boolean;
  readonly retriable4xx: boolean;
  readonly retriableStatusCodes: boolean;
  /** Whether responses are retried that a proxy on the way has sent because of a rate limit. */
  readonly rateLimited: boolean;
  /** The gRPC status codes, in the response's head, that are retried. */
  readonly grpcStatuses: ReadonlySet<string>;
}

export interface Mirror {
  readonly cluster: string;
  /** The share of requests that are mirrored, from 0 to 1. */
  readonly fraction: number;
  /** Whether the copy keeps the request's host. Otherwise the host gets the suffix `-shadow`. */
  readonly keepHost: boolean;
}

export interface RedirectAction {
  readonly kind: "redirect";
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: string | undefined;
  readonly httpsRedirect: boolean;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly rewritePath: ((path: string) => string) | undefined;
  /** Replaces the path and query. */
  readonly pathRedirect: string | undefined;
  readonly stripQuery: boolean;
}

export interface DirectResponseAction {
  readonly kind: "direct-response";
  readonly status: number;
  readonly body: Buffer;
}

/** The chosen cluster of a request, with the changes that its entry in a weighted list makes. */
export interface ClusterPick {
  readonly cluster: string;
  readonly hostRewrite?: string | undefined;
  readonly requestMutation?: HeaderMutation | undefined;
  readonly responseMutation?: HeaderMutation | undefined;
}

/** Chooses the cluster of a request. Returns undefined if a header names the cluster and is missing. */
export function chooseCluster(
  choice: ClusterChoice,
  header: (name: string) => string | undefined,
  random: Random,
): ClusterPick | undefined {
  if (choice.kind === "one") return choice;
  if (choice.kind === "weighted") return pickWeighted(choice.clusters, choice.totalWeight, random());
  const cluster = header(choice.header);
  return cluster === undefined ? undefined : { cluster };
}

/** Chooses by weight. `random` is at least 0 and below 1. Returns undefined only if all weights are 0. */
function pickWeighted(
  clusters: readonly WeightedCluster[],
  totalWeight: number,
  random: number,
): WeightedCluster | undefined {
  let rest = random * totalWeight;
  for (let index = 0; index < clusters.length; index += 1) {
    const candidate = clusters[index];
    if (candidate === undefined) break;
    rest -= candidate.weight;
    if (rest < 0) return candidate;
  }
  return undefined;
}
