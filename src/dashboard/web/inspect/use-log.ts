import { useEffect, useState } from "preact/hooks";
import type { Problem } from "../../../api/dashboard/index.ts";
import { problemOf, request } from "../requests.ts";
import { followLog, splitLog, type LogLines } from "./log-lines.ts";

const followMs = 2_000;

export interface LogOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly previous: boolean;
  readonly tailLines: number;
  readonly follows: boolean;
}

/** Reads a container's log. Reads it again and again while the user follows it and the page is visible. */
export function useLog({ namespace, pod, container, previous, tailLines, follows }: LogOptions): {
  readonly log: LogLines | undefined;
  readonly truncated: boolean;
  readonly problem: Problem | undefined;
} {
  const [state, setState] = useState<{ readonly log: LogLines | undefined; readonly truncated: boolean }>({
    log: undefined,
    truncated: false,
  });
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const load = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await request(
            "GET /api/logs",
            { namespace, pod, container, previous, tailLines },
            abort.signal,
          );
          setState((before) => ({ log: followLog(before.log, splitLog(answer.text)), truncated: answer.truncated }));
          setProblem(undefined);
        } catch (error) {
          if (abort.signal.aborted) return;
          setProblem(problemOf(error));
        }
      }
      if (follows && !abort.signal.aborted) timer = setTimeout(() => void load(), followMs);
    };
    void load();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [namespace, pod, container, previous, tailLines, follows]);
  return { ...state, problem };
}
