import { useEffect, useRef } from "preact/hooks";

/** A text that was not applied yet, and what it was begun from. */
export interface Draft {
  readonly text: string;
  readonly before: string;
  readonly resourceVersion: string;
}

/** So many are kept while the page is open; the oldest go first. */
const maxDrafts = 20;
const drafts = new Map<string, Draft>();

/** What was left here without being applied. */
export function draftOf(key: string): Draft | undefined {
  return drafts.get(key);
}

/** Keeps a changed text over a walk to other views, and has the browser ask before it is lost with the page. */
export function useKeptDraft(key: string, draft: Draft): void {
  const dirty = draft.text !== draft.before;
  const latest = useRef(draft);
  latest.current = draft;
  useEffect(() => {
    return () => {
      drafts.delete(key);
      const { text, before } = latest.current;
      if (text === before) return;
      drafts.set(key, latest.current);
      if (drafts.size > maxDrafts) drafts.delete(drafts.keys().next().value ?? "");
    };
  }, [key]);
  useEffect(() => {
    if (!dirty) return undefined;
    const onLeave = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener("beforeunload", onLeave);
    return () => removeEventListener("beforeunload", onLeave);
  }, [dirty]);
}
