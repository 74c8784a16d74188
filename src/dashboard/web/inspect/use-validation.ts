import { useEffect, useState } from "preact/hooks";
import type { ConfigMessage, Problem } from "../../../api/dashboard/index.ts";
import { problemOf, request } from "../requests.ts";
import { hasContent } from "./yaml-position.ts";

const settleMs = 400;

export interface ValidationState {
  readonly messages: readonly ConfigMessage[];
  readonly checking: boolean;
  readonly problem: Problem | undefined;
}

/** The analyzer's messages about the text. They are requested at pauses in typing. */
export function useValidation(text: string, active: boolean): ValidationState {
  const [state, setState] = useState<{
    readonly of: string;
    readonly messages: readonly ConfigMessage[];
    readonly problem: Problem | undefined;
  }>({ of: "", messages: [], problem: undefined });
  useEffect(() => {
    if (!active || !hasContent(text)) {
      setState({ of: text, messages: [], problem: undefined });
      return undefined;
    }
    const abort = new AbortController();
    const check = async (): Promise<void> => {
      try {
        const { messages } = await request("POST /api/validate", { yaml: text }, abort.signal);
        setState({ of: text, messages, problem: undefined });
      } catch (error) {
        if (!abort.signal.aborted)
          setState((before) => ({ of: text, messages: before.messages, problem: problemOf(error) }));
      }
    };
    const timer = setTimeout(() => void check(), settleMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, active]);
  return { messages: state.messages, checking: state.of !== text, problem: state.problem };
}
