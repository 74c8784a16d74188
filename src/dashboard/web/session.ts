import { signal, type ReadonlySignal } from "@preact/signals";
import type { Problem, Session } from "../../api/dashboard/index.ts";

const current = signal<Session | undefined>(undefined);
const ended = signal<Problem | undefined>(undefined);

/** Undefined until the server has told. */
export const session: ReadonlySignal<Session | undefined> = current;
/** Why the user has to log in again; undefined while there is no need. */
export const sessionEnded: ReadonlySignal<Problem | undefined> = ended;

export function setSession(next: Session): void {
  current.value = next;
  if (next.authentication !== "none") ended.value = undefined;
}

export function endSession(problem: Problem): void {
  ended.value = problem;
}
