import type { ChildProcess } from "node:child_process";

/** Returns the next message of a child process. Rejects if the process ends before that. `name` is for the error. */
export async function answerOf(child: ChildProcess, name: string): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error(`${name} ended`));
    child.once("exit", onExit);
    child.once("message", (answer) => {
      child.off("exit", onExit);
      resolve(answer);
    });
  });
}
