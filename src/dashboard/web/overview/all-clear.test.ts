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

test("the overview does not claim that no proxy rejects its configuration before the control planes have answered", () => {
  for (const reports of [{ unknown: "no control plane has answered" }, { incomplete: "istiod-1: no answer" }])
    assert.deepEqual(allClear([{ name: "kubernetes", ok: true, asOfMs: 1 }], reports), {
      title: "No problem is known",
      icon: "unknown",
      text: `Proxies may reject their configuration without being listed here: ${Object.values(reports).join("")}.`,
    });
});
