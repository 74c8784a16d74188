import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ContainerCrashes } from "./container-crashes.ts";

const uid = "27aa2c9a-3572-4380-a42d-71e63f528fe0";
const volume = `I1130 12:50:01.1 34 reconciler_common.go:251] "operationExecutor.VerifyControllerAttachedVolume started for volume \\"tokens\\" (UniqueName: \\"tokens\\") pod \\"serin-rollout-1\\" (UID: \\"${uid}\\") "\n`;
const finished = (code: number): string =>
  `I1130 12:50:36.1 34 generic.go:413] "Generic (PLEG): container finished" podID="${uid}" containerID="c921" exitCode=${code}\n`;

test("a container whose process ended itself by a signal is a crash, once, and one that was killed or ended is none", () => {
  const folder = mkdtempSync(join(tmpdir(), "serin-crashes-"));
  const path = join(folder, "n1-kubelet.log");
  try {
    const crashes = new ContainerCrashes([path, join(folder, "n2-kubelet.log")]);
    assert.deepEqual(crashes.next(), [], "a kubelet may not have begun its log");
    appendFileSync(path, `${volume}${[0, 1, 137, 143].map(finished).join("")}${finished(133).slice(0, -1)}`);
    assert.deepEqual(crashes.next(), [], "the last line is not complete");
    appendFileSync(path, `\n${finished(134)}`);
    assert.deepEqual(crashes.next(), ["serin-rollout-1 ended with 133", "serin-rollout-1 ended with 134"]);
    appendFileSync(path, finished(0));
    assert.deepEqual(crashes.next(), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
