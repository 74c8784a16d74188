import type { UntypedObject } from "../../../api/index.ts";
import type { MeshUpgrade, UpgradeWave } from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { probeObjects, probeSettle } from "../probe-objects.ts";
import type { ProbeScope } from "../probe-pairs.ts";
import { referenceTo } from "../references.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { check } from "./planned-check.ts";

export function installSteps({ spec }: MeshUpgrade, { installs }: MeshWorld): Step[] {
  return installs.map((objects, index) => {
    const workloads = objects.filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet").map(referenceTo);
    return {
      id: `install-${index + 1}`,
      title: `install ${workloads.map(({ name }) => name).join(", ")}`,
      writes: objects.map((body): Write => ({ type: "create", body, object: referenceTo(body) })),
      settle: [
        { type: "notRejected", revision: spec.to.revision },
        ...workloads.map((object): SettleCondition => ({ type: "ready", object })),
      ],
      checks: [],
    };
  });
}

export function probeScope({ spec }: MeshUpgrade, { dataPlanes }: MeshWorld): ProbeScope {
  return { revisions: [...new Set([spec.from.revision, spec.to.revision])], dataPlanes };
}

function matrixObjects(upgrade: MeshUpgrade, world: MeshWorld): UntypedObject[] {
  const { probeImage: image, probePod: pod = {} } = world;
  return probeObjects({ ...probeScope(upgrade, world), image, pod });
}

export function matrixCheck(upgrade: MeshUpgrade, world: MeshWorld, wave?: UpgradeWave): PlannedCheck {
  return check(upgrade, "mtls-probe-matrix", { type: "probes", ...probeScope(upgrade, world) }, wave);
}

/**
 * The given steps, with writes that replace lost probes in each step that uses the probes. A probe pod that has ended,
 * or whose node is lost, is deleted, and created again when it is gone.
 */
export function withProbesReplaced(steps: readonly Step[], upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { missing = [], ended = [], stranded = [] } = world.lostProbes ?? {};
  // Return early, because every round makes a plan and probes are seldom lost.
  if (missing.length + ended.length + stranded.length === 0) return [...steps];
  const pods = matrixObjects(upgrade, world).filter(({ kind }) => kind === "Pod");
  const named = (names: readonly string[]) => pods.filter(({ metadata }) => names.includes(metadata.name ?? ""));
  const removed = [
    ...named(ended).map((body): Write => ({ type: "delete", object: referenceTo(body), forGood: true })),
    ...named(stranded).map((body): Write => ({
      type: "delete",
      object: referenceTo(body),
      forGood: true,
      force: true,
    })),
  ];
  const made = named(missing).map((body): Write => ({ type: "create", body, object: referenceTo(body) }));
  if (removed.length + made.length === 0) return [...steps];
  return steps.map((step) =>
    step.checks.some(({ spec }) => spec.type === "mtls-probe-matrix")
      ? // The step that makes the probes creates each missing one anyway.
        { ...step, writes: [...step.writes, ...removed, ...(step.id === probeStepId ? [] : made)] }
      : step,
  );
}

const probeStepId = "probe";

/** Compares the roots of both revisions and probes each pair of revision and data plane, before anything moves. */
export function probeSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const scope = probeScope(upgrade, world);
  if (scope.dataPlanes.length === 0) return [];
  const { from, to } = upgrade.spec;
  return [
    {
      id: "roots",
      title: `compare the roots and trust domains of ${scope.revisions.join(" and ")}`,
      writes: [],
      settle: [{ type: "rootsCompatible", from: from.revision, to: to.revision }],
      checks: [],
      phase: "Preflight",
    },
    {
      id: probeStepId,
      title: `probe connections between ${scope.revisions.join(" and ")}: ${scope.dataPlanes.join(", ")}`,
      writes: matrixObjects(upgrade, world).map((body): Write => ({
        type: "create",
        body,
        object: referenceTo(body),
      })),
      settle: probeSettle(scope),
      checks: [
        matrixCheck(upgrade, world),
        check(upgrade, "xds-nacks", { type: "proxies", revision: upgrade.spec.to.revision }),
      ],
    },
  ];
}
