import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../../../base/testing/index.ts";
import { expandVariables } from "./container-environment.ts";

const environment = { A: "x", "B$(A": "y" };

test("a reference to a variable ends at the next parenthesis, and without one it is text", () => {
  for (const [text, expanded] of [
    ["$(A)", "x"],
    ["$(B$(A)", "y"],
    ["$$(A)", "$(A)"],
    ["$(A)$$ $(A", "x$ $(A"],
    ["$(NONE)$(", "$(NONE)$("],
    ["$$$(A$$", "$$(A$"],
  ] as const)
    assert.equal(expandVariables(text, environment), expanded, text);
});

test("a variable of a pod is expanded in linear time, because the node does nothing else meanwhile", () => {
  for (const piece of ["$(", "$", "(", "$(A", "$(A)", "$$"])
    assert.equal(
      suspicion(
        (text: string) => expandVariables(text, environment),
        (size) => piece.repeat(size),
        40_000,
      ),
      undefined,
      piece,
    );
});
