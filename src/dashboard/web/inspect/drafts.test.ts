import assert from "node:assert/strict";
import { test } from "node:test";
import { draftOf, keepDraft } from "./drafts.ts";

test("a text that was not applied is kept for who wrote it, and is not shown to who logs in after them", () => {
  const draft = { text: "mine", before: "as it was", resourceVersion: "7" };
  keepDraft("new", draft, "token ana");
  assert.deepEqual(
    [draftOf("new", "token ana"), draftOf("new", "token bob"), draftOf("new")],
    [draft, undefined, undefined],
  );
  keepDraft("new", { ...draft, text: draft.before }, "token ana");
  assert.equal(draftOf("new", "token ana"), undefined);
});
