import { messageOf, transientError, withoutEnd } from "../../base/index.ts";

export interface MeasuredSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Asks a Prometheus for an instant vector. Throws a transient error if it does not answer, or if it refuses the query.
 */
export type QueryPrometheus = (query: string) => Promise<readonly MeasuredSample[]>;

const timeoutMs = 20_000;

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly resultType: string; readonly result: unknown };
}

export function createQueryPrometheus(url: string): QueryPrometheus {
  return async (query) => {
    let answer: Answer;
    try {
      const body = new URLSearchParams({ query });
      const response = await fetch(`${withoutEnd(url, "/")}/api/v1/query`, {
        method: "POST",
        body,
        signal: AbortSignal.timeout(timeoutMs),
      });
      answer = (await response.json()) as Answer;
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause);
      throw transientError("prometheus-unreachable", `Prometheus at ${url} does not answer: ${reason}`, { cause });
    }
    if (answer.status !== "success")
      throw transientError("prometheus-refused", `Prometheus at ${url} refused the query: ${answer.error ?? ""}`);
    return samplesOf(answer.data);
  };
}

function samplesOf(data: Answer["data"]): MeasuredSample[] {
  if (data?.resultType === "scalar") return [{ labels: {}, value: Number((data.result as readonly unknown[])[1]) }];
  if (data?.resultType !== "vector") return [];
  const entries = data.result as readonly {
    readonly metric: Record<string, string>;
    readonly value: readonly [number, string];
  }[];
  return entries.map(({ metric, value }) => ({ labels: metric, value: numberOf(value[1]) }));
}

function numberOf(text: string): number {
  if (text === "+Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}
