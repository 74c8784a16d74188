import { useEffect, useRef } from "preact/hooks";
import { session } from "../session.ts";

/** A text that was not applied yet, and the version that it is based on. */
export interface Draft {
  readonly text: string;
  readonly before: string;
  readonly resourceVersion: string;
}

/** How many drafts are kept while the page is open. The oldest are dropped first. */
const maxDrafts = 20;
const drafts = new Map<string, { readonly draft: Draft; readonly user: string }>();

/** The user's draft. A user who logs in later on the same page does not see it. */
export function draftOf(key: string, user = currentUser()): Draft | undefined {
  const kept = drafts.get(key);
  return kept?.user === user ? kept.draft : undefined;
}

export function keepDraft(key: string, draft: Draft, user: string): void {
  drafts.delete(key);
  if (draft.text === draft.before) return;
  drafts.set(key, { draft, user });
  if (drafts.size > maxDrafts) drafts.delete(drafts.keys().next().value ?? "");
}

function currentUser(): string {
  const { user = "", authentication = "none" } = session.peek() ?? {};
  return `${authentication} ${user}`;
}

/** Keeps a changed text while the user visits other views. The browser asks before it closes a page that has one. */
export function useKeptDraft(key: string, draft: Draft): void {
  const dirty = draft.text !== draft.before;
  const latest = useRef(draft);
  latest.current = draft;
  useEffect(() => {
    // Read the user now: the session may end before the user leaves the view.
    const user = currentUser();
    return () => keepDraft(key, latest.current, user);
  }, [key]);
  useEffect(() => {
    if (!dirty) return undefined;
    const onLeave = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", onLeave);
    return () => removeEventListener("beforeunload", onLeave);
  }, [dirty]);
}
