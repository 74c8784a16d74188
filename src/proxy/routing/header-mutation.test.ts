import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../base/testing/index.ts";
import {
  editHeaders,
  maxAddedLength,
  type HeaderAddition,
  type HeaderEdits,
  type HeaderMutation,
  type MutationContext,
} from "./header-mutation.ts";

const context = {} as MutationContext;
const addition = (name: string, value: string, action: HeaderAddition["action"]): HeaderAddition => ({
  name,
  value: () => value,
  action,
  keepEmptyValue: false,
});

test("later additions and removals change what earlier ones added", () => {
  const { dropped, added } = editHeaders(
    [
      {
        add: [
          addition("a", "1", "append-if-exists-or-add"),
          addition("a", "2", "append-if-exists-or-add"),
          addition("b", "1", "add-if-absent"),
          addition("b", "2", "add-if-absent"),
          addition("c", "1", "overwrite-if-exists"),
          addition("d", "", "overwrite-if-exists-or-add"),
          addition("e", "1", "append-if-exists-or-add"),
        ],
        remove: [],
      },
      {
        add: [addition("a", "3", "overwrite-if-exists"), addition("e", "2", "add-if-absent")],
        remove: ["e"],
      },
    ],
    context,
    (name) => name === "e",
  );
  assert.deepEqual([...dropped], ["e", "a"]);
  assert.deepEqual(added, [
    ["b", "1"],
    ["a", "3"],
    ["e", "2"],
  ]);
});

test("a route that changes thousands of headers takes time in proportion to their number", () => {
  const count = 20_000;
  const levels = (size: number): readonly HeaderMutation[] => {
    const distinct = Array.from({ length: size }, (_, at) => addition(`h${at}`, "v", "overwrite-if-exists-or-add"));
    const same = Array.from({ length: size }, () => addition("h", "v", "overwrite-if-exists-or-add"));
    return [{ add: [...distinct, ...same], remove: Array.from({ length: size }, (_, at) => `h${at}`) }];
  };
  const edit = (mutations: readonly HeaderMutation[]): HeaderEdits => editHeaders(mutations, context, () => false);
  assert.equal(suspicion(edit, levels, count), undefined);
  assert.equal(edit(levels(count)).added.length, count + 1);
});

test("additions above the length of all of them are left out, and not even computed", () => {
  let computed = 0;
  const long = (name: string, action: HeaderAddition["action"]): HeaderAddition => ({
    ...addition(name, "", action),
    value: () => {
      computed += 1;
      return "v".repeat(maxAddedLength / 2);
    },
  });
  const { dropped, added } = editHeaders(
    [
      {
        add: [
          addition("a", "1", "overwrite-if-exists-or-add"),
          long("b", "append-if-exists-or-add"),
          long("c", "append-if-exists-or-add"),
          long("d", "overwrite-if-exists-or-add"),
          long("e", "add-if-absent"),
        ],
        remove: [],
      },
    ],
    context,
    () => true,
  );
  assert.equal(computed, 2);
  assert.deepEqual(
    added.map(([name]) => name),
    ["a", "b"],
  );
  assert.deepEqual([...dropped], ["a", "d"]);
});
