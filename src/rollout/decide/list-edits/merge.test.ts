import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../../base/testing/index.ts";
import { mergeEdits } from "./merge.ts";

const rules = (prefix: string, count: number): readonly { readonly name: string }[] =>
  Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}` }));

test("lists are merged in time proportional to their length, and equal elements too", () => {
  const edits: Readonly<Record<string, (size: number) => readonly unknown[][]>> = {
    "both add to a kept list": (size) => {
      const kept = rules("kept", size);
      return [
        [...kept],
        kept.flatMap((rule, index) => [{ name: `ours${index}` }, rule]),
        [...kept, ...rules("new", size)],
      ];
    },
    "the other order": (size) => {
      const kept = rules("kept", size);
      return [[...kept], [...kept, ...rules("ours", size)], kept.toReversed()];
    },
    "equal elements": (size) => {
      const same = Array.from({ length: size }, () => ({ name: "same" }));
      return [same, [...same, { name: "ours" }], [{ name: "theirs" }, ...same]];
    },
  };
  for (const [title, make] of Object.entries(edits))
    assert.equal(
      suspicion(([base, ours, theirs]) => mergeEdits("filters", base, ours, theirs), make, 8000),
      undefined,
      title,
    );
});
