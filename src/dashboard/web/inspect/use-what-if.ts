import { useEffect, useRef, useState } from "preact/hooks";
import type { Problem, WhatIfAnswer } from "../../../api/dashboard/index.ts";
import { problemOf, request } from "../requests.ts";

export function useWhatIf(): {
  readonly answer: WhatIfAnswer | undefined;
  readonly problem: Problem | undefined;
  readonly asking: boolean;
  readonly ask: (yaml: string) => void;
} {
  const [state, setState] = useState<{
    readonly answer: WhatIfAnswer | undefined;
    readonly problem: Problem | undefined;
    readonly asking: boolean;
  }>({ answer: undefined, problem: undefined, asking: false });
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const ask = async (yaml: string): Promise<void> => {
    setState({ answer: undefined, problem: undefined, asking: true });
    const { signal } = abort.current;
    try {
      const answer = await request("POST /api/what-if", { yaml }, signal);
      setState({ answer, problem: undefined, asking: false });
    } catch (error) {
      if (!signal.aborted) setState({ answer: undefined, problem: problemOf(error), asking: false });
    }
  };
  return { ...state, ask: (yaml) => void ask(yaml) };
}
