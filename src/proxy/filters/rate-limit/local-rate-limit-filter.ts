import { responseFlags } from "../../terms/response-flags.ts";
import type { ConnectionInfo } from "../../terms/connection-info.ts";
import { editHeaders, type HeaderMutation, type MutationContext } from "../../routing/header-mutation.ts";
import { describeRequest, descriptorsOf, type HostRules } from "../../routing/describe-request.ts";
import type { RateLimitRule } from "../../routing/route.ts";
import type { FilterCounter } from "../../terms/filter-statistics.ts";
import type { DescriptorLimits } from "./descriptor-limits.ts";
import type { FilterServices } from "../filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "../http-filter.ts";
import { limitFields } from "./limit-fields.ts";
import type { Tokens } from "../tokens.ts";

export interface DescriptorLimitSettings {
  readonly limits: DescriptorLimits;
  /** How requests are described. If undefined, their routes and virtual hosts decide. */
  readonly rules: readonly RateLimitRule[] | undefined;
  readonly stage: number;
  readonly hostRules: HostRules;
  /** Whether a request also takes a token of {@link LocalLimits.bucket}, in addition to those of its descriptors. */
  readonly alwaysBucket: boolean;
}

/** The tokens of one filter, of one route, or of one connection. */
export interface LocalLimits {
  /**
   * Tokens for the requests to which no descriptor limit applies, or for all requests if {@link
   * DescriptorLimitSettings.alwaysBucket} is set. If undefined, these requests have no such limit.
   */
  readonly bucket: Tokens | undefined;
  readonly descriptors: DescriptorLimitSettings | undefined;
}

/** The local rate limit of a filter or of a route, with the tokens that its requests share. */
export class LocalRateLimitSettings {
  readonly limits: LocalLimits;
  /** Makes the tokens of each connection. If undefined, all connections share {@link limits}. */
  readonly limitsOfConnection: (() => LocalLimits) | undefined;
  readonly status: number;
  /** The status for a gRPC client. If undefined, it follows from the HTTP status. */
  readonly grpcStatus: number | undefined;
  /** Whether responses tell the client its limit in the fields of {@link limitFields}. */
  readonly sendsLimitFields: boolean;
  /**
   * The fraction (0 to 1) of requests that are counted. Of those without a token, the fraction `enforced` is refused.
   */
  readonly enabled: number;
  readonly enforced: number;
  /** Further headers of the response to a refused request. */
  readonly answer: HeaderMutation | undefined;
  /** Header changes for the upstream, on a request that exceeded the limit and was still admitted. */
  readonly unenforced: HeaderMutation | undefined;
  readonly statPrefix: string;
  readonly #byConnection = new WeakMap<ConnectionInfo, LocalLimits>();

  constructor(options: Omit<LocalRateLimitSettings, "limitsFor">) {
    this.limits = options.limits;
    this.limitsOfConnection = options.limitsOfConnection;
    this.status = options.status;
    this.grpcStatus = options.grpcStatus;
    this.sendsLimitFields = options.sendsLimitFields;
    this.enabled = options.enabled;
    this.enforced = options.enforced;
    this.answer = options.answer;
    this.unenforced = options.unenforced;
    this.statPrefix = options.statPrefix;
  }

  limitsFor(connection: ConnectionInfo): LocalLimits {
    if (this.limitsOfConnection === undefined) return this.limits;
    let own = this.#byConnection.get(connection);
    if (own === undefined) this.#byConnection.set(connection, (own = this.limitsOfConnection()));
    return own;
  }
}

interface TokensTaken {
  /**
   * `shadow` means that the request was admitted although it exceeds a limit, because that limit is only counted and
   * not enforced.
   */
  readonly verdict: "admitted" | "shadow" | "refused";
  /**
   * The limit that the response headers report. It is the first of these that exists: the limit that refused the
   * request, a shadow limit that the request exceeds, the limit of its descriptors that refills most slowly, or {@link
   * LocalLimits.bucket}.
   */
  readonly reported: Tokens | undefined;
}

/**
 * Takes tokens from each limit that applies. As in Envoy, tokens that earlier limits have given stay taken if a later
 * limit has too few.
 */
function takeTokens({ bucket, descriptors }: LocalLimits, request: FilterRequest): TokensTaken {
  const found = descriptors === undefined ? [] : limitsOf(descriptors, request);
  let shadow: Tokens | undefined;
  for (const { tokens, hits, isShadow } of found) {
    if (hits.refills) tokens.give(hits.count);
    else if (!tokens.take(hits.count)) {
      if (!isShadow) return { verdict: "refused", reported: tokens };
      shadow ??= tokens;
    }
  }
  const takesBucket = found.length === 0 || descriptors?.alwaysBucket !== false;
  if (takesBucket && bucket?.take() === false) return { verdict: "refused", reported: bucket };
  if (shadow !== undefined) return { verdict: "shadow", reported: shadow };
  return { verdict: "admitted", reported: found[0]?.tokens ?? bucket };
}

function limitsOf({ limits, rules, stage, hostRules }: DescriptorLimitSettings, request: FilterRequest) {
  return limits.of(rules === undefined ? describeRequest(request, stage, hostRules) : descriptorsOf(rules, request));
}

function limitsNothing({ limits: { bucket, descriptors } }: LocalRateLimitSettings): boolean {
  return bucket === undefined && descriptors === undefined;
}

/**
 * Refuses requests beyond a rate. Only the requests that pass through this proxy count, because each proxy counts
 * separately.
 */
export class LocalRateLimitFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: LocalRateLimitSettings;
  readonly #services: FilterServices;

  constructor(name: string, settings: LocalRateLimitSettings, services: FilterServices) {
    this.name = name;
    this.idle = limitsNothing(settings);
    this.#settings = settings;
    this.#services = services;
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof LocalRateLimitSettings ? own : this.#settings;
    const { random } = this.#services;
    if (limitsNothing(settings)) return undefined;
    if (random() >= settings.enabled) return undefined;
    this.#counter(settings, "enabled").increment();
    const { verdict, reported } = takeTokens(settings.limitsFor(request.connection), request);
    if (settings.sendsLimitFields && reported !== undefined)
      for (const [name, value] of limitFields(reported.level())) request.addResponseHeader(name, value);
    if (verdict === "admitted") {
      this.#counter(settings, "ok").increment();
      return undefined;
    }
    this.#counter(settings, "rate_limited").increment();
    if (verdict === "shadow") {
      this.#counter(settings, "shadow_mode").increment();
      return undefined;
    }
    if (random() >= settings.enforced) {
      if (settings.unenforced !== undefined) this.#tellUpstream(settings.unenforced, request);
      return undefined;
    }
    this.#counter(settings, "enforced").increment();
    const { status, grpcStatus, answer } = settings;
    const headers =
      answer === undefined ? [] : editHeaders([answer], this.#context(request, status), () => false).added;
    return {
      status,
      body: "local_rate_limited",
      headers,
      flag: responseFlags.rateLimited,
      details: "local_rate_limited",
      ...(grpcStatus === undefined ? {} : { grpcStatus }),
    };
  }

  #tellUpstream(mutation: HeaderMutation, request: FilterRequest): void {
    const { dropped, added } = editHeaders(
      [mutation],
      this.#context(request, 0),
      (name) => request.header(name) !== undefined,
    );
    for (const name of dropped) request.removeHeader(name);
    for (const [name, value] of added) {
      const before = request.header(name);
      request.setHeader(name, before === undefined ? value : `${before},${value}`);
    }
  }

  /**
   * The context in which header values are evaluated: those of a refusal with this status, or with status 0 those for
   * the upstream. No upstream has been chosen yet.
   */
  #context(request: FilterRequest, status: number): MutationContext {
    const { connection, metadata } = request;
    const none = { cluster: "", upstreamHost: "", response: undefined };
    return {
      ...none,
      request,
      connection,
      metadata,
      status,
      downstreamPeer: request.valueContext(undefined).downstreamPeer,
      clientAddress: () => request.clientAddress,
      startedMs: this.#services.clock.nowMs(),
      routeName: request.route?.name ?? "",
      flags: () => (status === 0 ? "" : "RL"),
    };
  }

  #counter(settings: LocalRateLimitSettings, name: string): FilterCounter {
    return this.#services.statistics.counter(`${settings.statPrefix}.http_local_rate_limit.${name}`);
  }
}
