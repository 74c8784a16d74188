import { SerinError, transientError, type ErrorKind } from "../base/index.ts";

/** The subject of a request, for messages: `update of Deployment default/web`. */
export interface RequestSubject {
  readonly verb: string;
  readonly object: string;
}

interface Status {
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
}

const codesByStatus: Readonly<Record<number, string>> = {
  400: "bad-request",
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  405: "method-not-allowed",
  409: "conflict",
  410: "gone",
  413: "request-entity-too-large",
  415: "unsupported-media-type",
  422: "invalid",
  429: "too-many-requests",
  503: "service-unavailable",
  504: "timeout",
};

/**
 * The server's refusal as an error. Its code is the reason in kebab-case. `Expired` becomes `gone`, like the 410 that
 * it comes with.
 */
export function errorOfStatus(subject: RequestSubject, httpStatus: number, body: string): SerinError {
  const status = parseStatus(body);
  const code =
    httpStatus === 410 ? "gone" : (kebab(status?.reason) ?? codesByStatus[httpStatus] ?? `http-${httpStatus}`);
  const said = status?.message ?? (body === "" ? `HTTP status ${httpStatus}` : body.slice(0, 500));
  const hint = hintOf(code);
  return new SerinError(
    kindOf(httpStatus, code, subject.verb),
    code,
    `${subject.verb} of ${subject.object}: ${said}`,
    hint === undefined ? {} : { hint },
  );
}

/** The error of a watch's ERROR event, whose object is a Status. */
export function errorOfWatchStatus(object: string, status: unknown): SerinError {
  const code = (status as Status | null)?.code ?? 500;
  return errorOfStatus({ verb: "watch", object }, code, JSON.stringify(status));
}

export function unreadable(subject: RequestSubject, cause: unknown): SerinError {
  return transientError("unreadable-answer", `${subject.verb} of ${subject.object}: the server's answer is not JSON`, {
    cause,
  });
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof SerinError && error.code === code;
}

function kindOf(httpStatus: number, code: string, verb: string): ErrorKind {
  if (httpStatus === 409) return code === "conflict" && verb !== "create" && verb !== "apply" ? "transient" : "user";
  if (httpStatus === 410 || httpStatus === 429 || httpStatus >= 500) return "transient";
  return "user";
}

function hintOf(code: string): string | undefined {
  if (code === "unauthorized") return "the credentials are not accepted: check the user of the kubeconfig's context";
  if (code === "forbidden") return "the user may not do this: check with kubectl auth can-i";
  return undefined;
}

function parseStatus(body: string): Status | undefined {
  try {
    const value = JSON.parse(body) as Status & { kind?: string };
    return value.kind === "Status" ? value : undefined;
  } catch {
    return undefined;
  }
}

function kebab(reason: string | undefined): string | undefined {
  if (reason === undefined || reason === "" || reason === "Unknown") return undefined;
  return reason.replace(/([a-z0-9])([A-Z])/g, "$1-$2").toLowerCase();
}
