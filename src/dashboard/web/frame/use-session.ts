import { useLayoutEffect, useState } from "preact/hooks";
import type { Problem, Session } from "../../../api/dashboard/index.ts";
import { problemOf, request } from "../requests.ts";
import { session } from "../session.ts";

const retryMs = 2_000;

/** Requests the session until the server answers. */
export function useSession(): { readonly session: Session | undefined; readonly problem: Problem | undefined } {
  const [problem, setProblem] = useState<Problem | undefined>(undefined);
  // Send the request before the first paint: everything that the user sees waits for the answer.
  useLayoutEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        await request("GET /api/session", {}, stop.signal);
        setProblem(undefined);
      } catch (error) {
        if (stop.signal.aborted) return;
        setProblem(problemOf(error));
        timer = setTimeout(() => void ask(), retryMs);
      }
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, []);
  return { session: session.value, problem };
}
