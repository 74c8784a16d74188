import { useEffect, useRef, useState } from "preact/hooks";
import type { ConfigHead } from "../../../api/dashboard/index.ts";
import { draftOf, useKeptDraft } from "./drafts.ts";
import { withoutStatus } from "./yaml-position.ts";

/** A version of an object. */
export type ObjectVersion = Pick<ConfigHead, "yaml" | "resourceVersion">;

/**
 * The text of an object in the editor, and the version on which it is based. The text stays if somebody else changes
 * the object.
 */
export function useEditedObject(
  head: ObjectVersion,
  topic: string,
): {
  readonly text: string;
  readonly setText: (text: string) => void;
  readonly base: ObjectVersion;
  /** Whether somebody else has changed the object while the user edits it. */
  readonly conflicts: boolean;
  /** Replaces the text by the current object. */
  readonly take: () => void;
  /** Makes the edited text the new base. Must be called when the text has been applied. */
  readonly applied: () => void;
} {
  const draft = draftOf(topic);
  const [text, setText] = useState(draft?.text ?? head.yaml);
  const [base, setBase] = useState<ObjectVersion>({
    yaml: draft?.before ?? head.yaml,
    resourceVersion: draft?.resourceVersion ?? head.resourceVersion,
  });
  useKeptDraft(topic, { text, before: base.yaml, resourceVersion: base.resourceVersion });
  const isApplied = useRef(false);
  const dirty = text !== base.yaml;
  const take = (): void => {
    setBase({ yaml: head.yaml, resourceVersion: head.resourceVersion });
    setText(head.yaml);
  };
  useEffect(() => {
    if (head.resourceVersion === base.resourceVersion) return;
    if (!dirty || isApplied.current) take();
    // Only the status has changed, so the text can use the new version as its base.
    else if (!isChangedElsewhere(base, head)) setBase({ yaml: base.yaml, resourceVersion: head.resourceVersion });
    isApplied.current = false;
  }, [head.resourceVersion]);
  return {
    text,
    setText,
    base,
    conflicts: dirty && isChangedElsewhere(base, head),
    take,
    applied: () => {
      isApplied.current = true;
      setBase({ yaml: text, resourceVersion: base.resourceVersion });
    },
  };
}

/** Whether a newer version differs in more than its status, so that applying the text would undo somebody's change. */
export function isChangedElsewhere(base: ObjectVersion, newer: ObjectVersion): boolean {
  return newer.resourceVersion !== base.resourceVersion && withoutStatus(newer.yaml) !== withoutStatus(base.yaml);
}
