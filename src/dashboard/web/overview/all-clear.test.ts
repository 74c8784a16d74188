import assert from "node:assert/strict";
import { test } from "node:test";
import { allClear } from "./all-clear.ts";

test("the overview reports no problems as good only if every source reports", () => {
  const reporting = [{ name: "kubernetes", ok: true, asOfMs: 1 }];
  assert.deepEqual([allClear(reporting).title, allClear(reporting).icon], ["Nothing needs attention", "good"]);
  const silent = [...reporting, { name: "metrics", ok: false, problem: "no pod answers" }, { name: "x", ok: false }];
  assert.deepEqual(allClear(silent), {
    title: "No problem is known",
    icon: "unknown",
    text: "There may be problems that this list does not show, because a source does not report: metrics, x.",
  });
});
