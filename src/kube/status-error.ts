import { ownField, SerinError, transientError, type ErrorCode, type ErrorKind } from "../base/index.ts";
import { refusalHint, unansweredHint } from "./denial.ts";

/** What a request does, for messages such as `update of Deployment default/web`. */
export interface RequestSubject {
  readonly verb: string;
  readonly object: string;
}

interface Status {
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: {
    readonly causes?: readonly { readonly reason?: string }[];
    readonly retryAfterSeconds?: number;
  };
}

const codesByReason: Readonly<Record<string, ErrorCode>> = {
  AlreadyExists: "already-exists",
  BadRequest: "bad-request",
  Conflict: "conflict",
  Expired: "gone",
  Forbidden: "forbidden",
  Gone: "gone",
  Invalid: "invalid",
  MethodNotAllowed: "method-not-allowed",
  NotFound: "not-found",
  RequestEntityTooLarge: "request-too-long",
  ServerTimeout: "timeout",
  ServiceUnavailable: "unavailable",
  Timeout: "timeout",
  TooManyRequests: "too-many-requests",
  Unauthorized: "unauthorized",
};

const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  400: "bad-request",
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  405: "method-not-allowed",
  409: "conflict",
  410: "gone",
  413: "request-too-long",
  422: "invalid",
  429: "too-many-requests",
  503: "unavailable",
  504: "timeout",
};

/** The API server's body for an unknown path. It is plain text, not a Status. */
const unknownPath = "404 page not found";
const unknownKindHint =
  "install its definition: serin install writes those of Istio and of rollouts, serin gateway-api install those of the Gateway API";

/**
 * Creates the error for an error response. Its reason is that of the Status' first cause, or else of the Status, or
 * else the HTTP status. `retryAfter` is the value of the Retry-After header.
 */
export function errorOfStatus(
  subject: RequestSubject,
  httpStatus: number,
  body: string,
  retryAfter?: string,
): SerinError {
  const status = parseStatus(body);
  const code = httpStatus === 410 ? "gone" : codeOf(status?.reason, httpStatus);
  // A kubelet may respond to a port-forward with the same text.
  const isUnknownKind = httpStatus === 404 && body.trim() === unknownPath && subject.verb !== "port-forward";
  const answerText = isUnknownKind
    ? "the API server does not serve this kind"
    : (status?.message ?? (body === "" ? `HTTP status ${httpStatus}` : body.slice(0, 500).trim()));
  const hint = isUnknownKind ? unknownKindHint : hintOf(code, status);
  const seconds = Number(retryAfter ?? status?.details?.retryAfterSeconds);
  return new SerinError(
    kindOf(httpStatus, code, subject.verb),
    code,
    `${subject.verb} of ${subject.object}: ${answerText}`,
    {
      reason: reasonOf(status, httpStatus),
      ...(hint === undefined ? {} : { hint }),
      ...(seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {}),
    },
  );
}

/** Creates the error for an ERROR event of a watch. The event's object is a Status. */
export function errorOfWatchStatus(object: string, status: unknown): SerinError {
  const code = (status as Status | null)?.code ?? 500;
  return errorOfStatus({ verb: "watch", object }, code, JSON.stringify(status));
}

export function unreadable(subject: RequestSubject, cause: unknown): SerinError {
  return transientError("answer-unreadable", `${subject.verb} of ${subject.object}: the server's answer is not JSON`, {
    cause,
  });
}

export function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof SerinError && error.code === code;
}

/** Returns the objects of a list, or none if the server does not know the kind. */
export async function itemsIfServed<Value>(
  list: Promise<{ readonly items: readonly Value[] }>,
): Promise<readonly Value[]> {
  try {
    return (await list).items;
  } catch (error) {
    if (isCode(error, "not-found")) return [];
    throw error;
  }
}

/** Returns the result of a request, or undefined if the user lacks the right. */
export async function undefinedIfForbidden<Value>(answer: Promise<Value>): Promise<Value | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isCode(error, "forbidden")) return undefined;
    throw error;
  }
}

function kindOf(httpStatus: number, code: ErrorCode, verb: string): ErrorKind {
  if (httpStatus === 409) return code === "conflict" && verb !== "create" && verb !== "apply" ? "transient" : "user";
  if (httpStatus === 410 || httpStatus === 429 || httpStatus >= 500) return "transient";
  return "user";
}

/**
 * Matches the authorizer's message. Status 403 is not enough, because quotas, PodSecurity and other admission plugins
 * also use it.
 */
const lackOfRights = /\bcannot [a-z*]+ (resource|path)\b/;

function hintOf(code: ErrorCode, status: Status | undefined): string | undefined {
  if (code === "unauthorized") return "the credentials are not accepted: check the user of the kubeconfig's context";
  if (status?.details?.causes?.some(({ reason }) => reason === "NamespaceTerminating") === true)
    return "the namespace is being deleted: wait until kubectl get namespaces no longer shows it, and try again";
  if (code === "forbidden" && (status?.message === undefined || lackOfRights.test(status.message)))
    return "the user may not do this: check with kubectl auth can-i";
  const message = status?.message ?? "";
  return refusalHint(message) ?? unansweredHint(message);
}

function parseStatus(body: string): Status | undefined {
  try {
    const value = JSON.parse(body) as Status & { kind?: string };
    return value.kind === "Status" ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The error code of a response. An unknown reason gives `api-server` and not the code of the HTTP status, because the
 * API server uses 403 for several reasons.
 */
function codeOf(reason: string | undefined, httpStatus: number): ErrorCode {
  if (reason === undefined || reason === "" || reason === "Unknown") return codesByStatus[httpStatus] ?? "api-server";
  return ownField(codesByReason, reason) ?? "api-server";
}

function reasonOf(status: Status | undefined, httpStatus: number): string {
  return [status?.details?.causes?.[0]?.reason, status?.reason].find(Boolean) ?? String(httpStatus);
}
