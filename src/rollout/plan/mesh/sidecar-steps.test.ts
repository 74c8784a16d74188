import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade, type MeshUpgrade } from "../../../api/serin/index.ts";
import { reference } from "../references.ts";
import type { PlannedCheck } from "../../decide/index.ts";
import { sidecarStep } from "./sidecar-steps.ts";
import type { PlannedWave } from "./waves.ts";

const wave = {
  wave: { name: "wave-1", maxUnavailable: 1, mode: "Restart", checks: [] },
  number: 1,
  namespaces: [],
} as unknown as PlannedWave;

/** The time that an upgrade writes to restart a Rollout, if its step has begun at `startedAt`. */
function restartAt(startedAt: string | undefined): unknown {
  const { value: upgrade } = parseMeshUpgrade({
    metadata: { name: "up", uid: "u" },
    spec: { from: { revision: "old" }, to: { revision: "new" } },
  });
  const step = startedAt === undefined ? {} : { status: { step: { startedAt } } };
  const { writes } = sidecarStep(
    { ...upgrade, ...step } as MeshUpgrade,
    wave,
    {
      name: "shop",
      labels: {},
      injection: { label: "istio.io/rev", value: "old" },
      labelled: true,
      workloads: [
        {
          object: reference("argoproj.io/v1alpha1", "Rollout", "web", "shop"),
          labels: {},
          byPodLabel: false,
          state: "waiting",
        },
      ],
      leftToEnd: [],
      ambient: false,
      enrolledPods: [],
      isWhole: true,
    },
    {} as PlannedCheck,
  );
  return writes.flatMap((write) =>
    write.type === "field" && write.pointer === "/spec/restartAt" ? [write.value] : [],
  )[0];
}

test("an Argo Rollout restarts at a full second, as its own tool writes it, and no pod from before is left out", () => {
  assert.equal(restartAt("2026-01-01T00:00:00.123Z"), "2026-01-01T00:00:01Z");
  assert.equal(restartAt("2026-01-01T00:00:00.000Z"), "2026-01-01T00:00:00Z");
  assert.equal(restartAt(undefined), "", "nothing is written before the step begins");
});
