import { messageOf, toSerinError, userError, type ErrorCode } from "../../base/index.ts";
import { parseDurationMs } from "../../promql/index.ts";

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  /** The parameters of the URL and, for a POST, of the form in the body. */
  readonly params: URLSearchParams;
  readonly clientAddress: string;
  /** Waits until other requests and scrapes have had their turns. A long query must call it between its steps. */
  readonly nextTurn: () => Promise<void>;
}

export interface ApiAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const json = "application/json";

export function success(data: unknown, warnings: readonly string[] = []): ApiAnswer {
  return {
    status: 200,
    contentType: json,
    body: JSON.stringify({ status: "success", data, ...(warnings.length === 0 ? {} : { warnings }) }),
  };
}

export function failure(status: number, errorType: string, error: string): ApiAnswer {
  return { status, contentType: json, body: JSON.stringify({ status: "error", errorType, error }) };
}

/** Errors that depend on the data, and not on the query's text. */
const executionCodes = new Set<ErrorCode>(["series-ambiguous", "query-too-large"]);

export function failureOf(error: unknown): ApiAnswer {
  const { kind, code, hint } = toSerinError(error);
  const text = hint === undefined ? messageOf(error) : `${messageOf(error)}; ${hint}`;
  if (code === "query-timeout") return failure(503, "timeout", text);
  if (executionCodes.has(code)) return failure(422, "execution", text);
  return kind === "user" ? failure(400, "bad_data", text) : failure(500, "internal", text);
}

/**
 * Reads a time in seconds since 1970 or in RFC 3339, and returns milliseconds. Throws a user error for any other text.
 */
export function timeParameter(params: URLSearchParams, name: string, otherwiseMs: number | undefined): number {
  const text = params.get(name) ?? "";
  if (text === "" && otherwiseMs !== undefined) return otherwiseMs;
  const seconds = text === "" ? NaN : Number(text);
  const timeMs = Number.isNaN(seconds) ? (/^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : NaN) : seconds * 1000;
  if (!Number.isFinite(timeMs))
    throw userError(
      "bad-request",
      `invalid parameter "${name}": expected seconds since 1970 or a time such as 2026-01-31T12:00:00Z, got "${text}"`,
    );
  return Math.round(timeMs);
}

/** Reads a number of seconds or a duration such as 15s, and returns milliseconds. */
export function durationParameter(params: URLSearchParams, name: string): number {
  const text = params.get(name) ?? "";
  const durationMs = text === "" ? undefined : (parseDurationMs(text) ?? Number(text) * 1000);
  if (durationMs === undefined || !Number.isFinite(durationMs))
    throw userError(
      "bad-request",
      `invalid parameter "${name}": expected seconds or a duration such as 15s, got "${text}"`,
    );
  return durationMs;
}

/** Reads the maximum number of results. 0 means without limit. */
export function limitParameter(params: URLSearchParams): number {
  const text = params.get("limit") ?? "0";
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 0)
    throw userError("bad-request", `invalid parameter "limit": expected a number of at least 0, got "${text}"`);
  return limit;
}
