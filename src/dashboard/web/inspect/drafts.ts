import { useEffect, useRef } from "preact/hooks";
import { session } from "../session.ts";

/** A text that was not applied yet, and what it was begun from. */
export interface Draft {
  readonly text: string;
  readonly before: string;
  readonly resourceVersion: string;
}

/** So many are kept while the page is open; the oldest go first. */
const maxDrafts = 20;
const drafts = new Map<string, { readonly draft: Draft; readonly user: string }>();

/** What this user left here without being applied: another one, who logs in on the same page, is not shown it. */
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

/** Keeps a changed text over a walk to other views, and has the browser ask before it is lost with the page. */
export function useKeptDraft(key: string, draft: Draft): void {
  const dirty = draft.text !== draft.before;
  const latest = useRef(draft);
  latest.current = draft;
  useEffect(() => {
    // Whose session it was when the text was begun: it may have ended by the time that the view is left.
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
