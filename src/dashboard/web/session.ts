import { signal, type ReadonlySignal } from "@preact/signals";
import type { Problem, Session } from "../../api/dashboard/index.ts";

const current = signal<Session | undefined>(undefined);
const ended = signal<Problem | undefined>(undefined);
const lapsed = signal<string | undefined>(undefined);

/** The user's session. Undefined until the server has answered. */
export const session: ReadonlySignal<Session | undefined> = current;
/** Why the user must log in again. Undefined if the user need not. */
export const sessionEnded: ReadonlySignal<Problem | undefined> = ended;

/** The user whose session has ended, if the page goes on without a login. */
export const lapsedUser: ReadonlySignal<string | undefined> = lapsed;

/** Takes over the session that the server reports. `leaves` means that the user has logged out. */
export function setSession(next: Session, leaves = false): void {
  const before = current.peek();
  if (next.authentication === "token" || leaves) lapsed.value = undefined;
  else if (before?.authentication === "token" && next.authentication === "anonymous") lapsed.value = before.user;
  current.value = next;
  if (next.authentication !== "none") ended.value = undefined;
}

export function endSession(problem: Problem): void {
  ended.value = problem;
}
