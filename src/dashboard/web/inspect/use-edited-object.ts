import { useEffect, useRef, useState } from "preact/hooks";
import type { ConfigHead } from "../../../api/dashboard/index.ts";
import { draftOf, useKeptDraft } from "./drafts.ts";
import { withoutStatus } from "./yaml-position.ts";

export type ObjectVersion = Pick<ConfigHead, "yaml" | "resourceVersion">;

/**
 * The text of an object in the editor, and the version that it is based on. The text stays if somebody else changes the
 * object.
 */
export function useEditedObject(
  head: ObjectVersion,
  topic: string,
): {
  readonly text: string;
  readonly setText: (text: string) => void;
  readonly base: ObjectVersion;
  /** Whether somebody else has changed the object in the meantime. */
  readonly conflicts: boolean;
  /** Replaces the text with that of the present object. */
  readonly take: () => void;
  /** Must be called when the text has been applied: it is then the base of further edits. */
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
    // Only the status has changed, so base the text on the new version.
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

/** Whether a newer version differs in more than its status. To apply the text would then undo somebody's change. */
export function isChangedElsewhere(base: ObjectVersion, newer: ObjectVersion): boolean {
  return newer.resourceVersion !== base.resourceVersion && withoutStatus(newer.yaml) !== withoutStatus(base.yaml);
}
