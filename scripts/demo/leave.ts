import { createInterface } from "node:readline/promises";

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/**
 * Asks whether to keep the lab, and returns true for the answer `keep`. Ctrl-C, Ctrl-D and `signal` count as any other
 * answer, because a question without an answer would end the process and leave the lab behind.
 */
export async function askToKeep({ input, output }: Terminal, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input, output });
  const unanswered = new AbortController();
  const end = (): void => unanswered.abort();
  terminal.once("SIGINT", end).once("close", end);
  try {
    const question = "  Press Enter to remove the cluster, or type keep: ";
    const answer = await terminal.question(question, { signal: AbortSignal.any([signal, unanswered.signal]) });
    return answer.trim() === "keep";
  } catch (error) {
    if (!signal.aborted && !unanswered.signal.aborted) throw error;
    output.write("\n");
    return false;
  } finally {
    terminal.close();
  }
}
