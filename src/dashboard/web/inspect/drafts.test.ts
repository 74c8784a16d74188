import assert from "node:assert/strict";
import { test } from "node:test";
import { draftOf, keepDraft } from "./drafts.ts";

test("an unapplied text is kept for its writer, and hidden from other users", () => {
  const draft = { text: "mine", before: "as it was", resourceVersion: "7" };
  keepDraft("new", draft, "token ana");
  assert.deepEqual(
    [draftOf("new", "token ana"), draftOf("new", "token bob"), draftOf("new")],
    [draft, undefined, undefined],
  );
  keepDraft("new", { ...draft, text: draft.before }, "token ana");
  assert.equal(draftOf("new", "token ana"), undefined);
});
