import type { Clock, Random } from "../../base/index.ts";
import type { MessageHead } from "../../wire/http1/index.ts";
import type { RetryPolicy } from "../routing/route.ts";
import type { ConnectFailure } from "../upstream/pool-user.ts";
import type { UpstreamFailure } from "../upstream/upstream-channel.ts";

/** Whether the policy retries after a connection could not be opened, so that no part of the request was sent. */
export function retriesConnectFailure(policy: RetryPolicy | undefined, failure: ConnectFailure): boolean {
  if (policy === undefined || failure.kind === "overflow") return false;
  const { on } = policy;
  return on.connectFailure || on.reset || on.serverError || on.gatewayError;
}

/** A request whose connection was lost before a response. */
export interface LostRequest {
  readonly method: string;
  readonly failure: UpstreamFailure;
  /** How long before the loss of the connection the request was sent, in milliseconds. */
  readonly afterMs: number;
  /**
   * Whether the connection may still have been in the application's accept backlog: a new connection without TLS and
   * HTTP/2.
   */
  readonly mayBeUnaccepted: boolean;
}

/**
 * If a connection ends at least this long after a request was sent, the application has probably accepted it and worked
 * on the request. A kernel whose application has ended closes its connections at once.
 */
const unseenLimitMs = 1000;

/**
 * Whether the request may be sent again because no application has seen it. That is certain if none of it has left this
 * process. Otherwise it must be likely, and repeating the request must do no harm.
 */
export function mayBeUnseen({ failure, method, afterMs }: LostRequest): boolean {
  if (failure.kind !== "closed" || failure.anyByte) return false;
  return failure.nothingSent || (isIdempotent(method) && afterMs < unseenLimitMs);
}

/**
 * Whether the policy retries if the connection was lost before a response. When an application ends, the kernel closes
 * the connections in its accept backlog. To the client, this is a failure to connect. So, unlike in Envoy,
 * `connect-failure` also retries a request on a new connection if it may safely be sent twice.
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
 * Whether the policy wants another attempt in place of this response. `grpcStatus` is the one in the response's head,
 * if there is one. A response that reports a rate limit is retried only if the policy names rate limits, because
 * retries would exceed the limit further.
 */
export function retriesResponse(policy: RetryPolicy, head: MessageHead, grpcStatus: string | undefined): boolean {
  const isWanted = wantsOther(policy, head.status, grpcStatus);
  // Search for the header only if the answer depends on it, because the search visits all fields.
  if (isWanted === policy.on.rateLimited) return isWanted;
  return head.find("x-envoy-ratelimited") >= 0 ? policy.on.rateLimited : isWanted;
}

/** Like {@link retriesResponse}, without the conditions on rate limits. */
function wantsOther(policy: RetryPolicy, status: number, grpcStatus: string | undefined): boolean {
  const { on } = policy;
  if (on.serverError && status >= 500) return true;
  if (on.gatewayError && status >= 502 && status <= 504) return true;
  if (on.retriable4xx && status === 409) return true;
  if (on.retriableStatusCodes && policy.retriableStatusCodes.includes(status)) return true;
  return grpcStatus !== undefined && on.grpcStatuses.has(grpcStatus);
}

/** Whether a method may be repeated even if the first request had an effect (RFC 9110, 9.2.2). */
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

/**
 * Schedules a retry after a random pause up to an exponentially growing limit (full jitter), as in Envoy. `retry`
 * starts at 1.
 */
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
