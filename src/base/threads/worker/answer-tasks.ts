import { parentPort } from "node:worker_threads";
import type { FromThread, ToThread } from "../limited-thread.ts";

interface ThreadWork<Task, Answer, Message> {
  /** Answers one task. Must not throw. */
  readonly answer: (task: Task) => Answer | Promise<Answer>;
  readonly onMessage?: (message: Message) => void;
}

/** The part of a `LimitedThread` inside the thread: answers the tasks. Returns a function that sends a notice. */
export function answerTasks<Task, Answer, Notice = never, Message = never>({
  answer,
  onMessage,
}: ThreadWork<Task, Answer, Message>): (notice: Notice) => void {
  const post = (message: FromThread<Answer, Notice>): void => parentPort?.postMessage(message);
  const run = async (task: Task): Promise<void> => post({ answer: await answer(task) });
  parentPort?.on("message", (posted: ToThread<Task, Message>) => {
    if ("task" in posted) void run(posted.task);
    else onMessage?.(posted.message);
  });
  post("ready");
  return (notice) => post({ notice });
}
