import type { Clock, Random } from "../../base/index.ts";
import type { MessageHead } from "../../wire/http1/index.ts";
import type { RetryPolicy } from "../routing/route.ts";
import type { ConnectFailure } from "../upstream/pool-user.ts";
import type { UpstreamFailure } from "../upstream/upstream-channel.ts";

/** Whether the policy retries if a connection could not be opened. Nothing of the request was sent. */
export function retriesConnectFailure(policy: RetryPolicy | undefined, failure: ConnectFailure): boolean {
  if (policy === undefined || failure.kind === "overflow") return false;
  const { on } = policy;
  return on.connectFailure || on.reset || on.serverError || on.gatewayError;
}

/** A request whose connection was lost before a response. */
export interface LostRequest {
  readonly method: string;
  readonly failure: UpstreamFailure;
  /** How long before the loss we began to send it. */
  readonly afterMs: number;
  /**
   * Whether the connection may have waited in the backlog of an application: a new connection without TLS and HTTP/2,
   * which an application would have answered.
   */
  readonly mayBeUnaccepted: boolean;
}

/**
 * If a connection ends this long after a request was sent, the application has had it, and has probably worked on it. A
 * kernel without an application closes its connections at once.
 */
const unseenLimitMs = 1000;

/**
 * Whether the request may be sent again. It may if no application has seen it, or if probably none has and repeating it
 * does no harm.
 */
export function mayBeUnseen({ failure, method, afterMs }: LostRequest): boolean {
  if (failure.kind !== "closed" || failure.anyByte) return false;
  return failure.nothingSent || (isIdempotent(method) && afterMs < unseenLimitMs);
}

/**
 * Whether the policy retries if the connection was lost before a response. An application that ends leaves connections
 * in its backlog, which the kernel had accepted and now closes. To the client, this is a connection failure, so (unlike
 * in Envoy) `connect-failure` retries the request if it may be sent twice.
 */
export function retriesFailure(policy: RetryPolicy | undefined, lost: LostRequest): boolean {
  if (policy === undefined) return false;
  const { on } = policy;
  const { failure } = lost;
  if (failure.kind === "refused" && on.refusedStream) return true;
  if (on.reset || on.serverError || on.gatewayError) return true;
  if (on.connectFailure && mayBeUnseen(lost) && (failure.nothingSent || lost.mayBeUnaccepted)) return true;
  return on.resetBeforeRequest && failure.nothingSent;
}

export function retriesTimeout(policy: RetryPolicy | undefined): boolean {
  return policy !== undefined && (policy.on.serverError || policy.on.gatewayError || policy.on.reset);
}

/**
 * Whether the policy wants another attempt instead of this response. `grpcStatus` is in the response's head, if any. A
 * response for a rate limit is retried only if the policy names rate limits, because retries would exceed the limit
 * further.
 */
export function retriesResponse(policy: RetryPolicy, head: MessageHead, grpcStatus: string | undefined): boolean {
  const isWanted = wantsOther(policy, head.status, grpcStatus);
  // Looking for the header costs a walk over all fields, which most responses are spared.
  if (isWanted === policy.on.rateLimited) return isWanted;
  return head.find("x-envoy-ratelimited") >= 0 ? policy.on.rateLimited : isWanted;
}

/** Whether the policy wants another attempt instead of a response that is not for a rate limit. */
function wantsOther(policy: RetryPolicy, status: number, grpcStatus: string | undefined): boolean {
  const { on } = policy;
  if (on.serverError && status >= 500) return true;
  if (on.gatewayError && status >= 502 && status <= 504) return true;
  if (on.retriable4xx && status === 409) return true;
  if (on.retriableStatusCodes && policy.retriableStatusCodes.includes(status)) return true;
  return grpcStatus !== undefined && on.grpcStatuses.has(grpcStatus);
}

/** Methods that may be repeated even if the first request had an effect (RFC 9110, 9.2.2). */
export function isIdempotent(method: string): boolean {
  return (
    method === "GET" ||
    method === "HEAD" ||
    method === "PUT" ||
    method === "DELETE" ||
    method === "OPTIONS" ||
    method === "TRACE"
  );
}

/** Exponential backoff with full jitter, as in Envoy. `retry` starts at 1. */
export function scheduleRetry(
  policy: RetryPolicy,
  retry: number,
  clock: Clock,
  random: Random,
  run: () => void,
): Disposable {
  const step = Math.min(policy.maxIntervalMs, policy.baseIntervalMs * 2 ** Math.min(retry, 20) - policy.baseIntervalMs);
  return clock.after(Math.floor(random() * step), run);
}
