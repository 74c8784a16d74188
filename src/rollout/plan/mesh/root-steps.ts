import type { UntypedObject } from "../../../api/index.ts";
import { authorityStageAnnotation, type AuthorityStage, type MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import { annotationPointer, reference } from "../references.ts";
import { namedChecks } from "./planned-check.ts";
import type { MeshWorld } from "./mesh-world.ts";

export const nextRootName = "istio-ca-next";

/**
 * Rotates the root without an interruption: first both roots are trusted, then the new root signs, and then only the
 * new root is trusted. Undo reverts each stage.
 */
export function rootSteps(upgrade: MeshUpgrade, { root }: MeshWorld, matrix: PlannedCheck | undefined): Step[] {
  if (root === undefined) return [];
  const { namespace, fingerprint } = root;
  const object = reference("v1", "Secret", nextRootName, namespace);
  const name = fingerprint === "" ? "the next root" : `root ${fingerprint.slice(0, 12)}`;
  const planned = matrix === undefined ? [] : [matrix];
  const subject = {
    type: "revisions",
    canary: upgrade.spec.to.revision,
    stable: upgrade.spec.from.revision,
    namespaces: [],
  } as const;
  const checks = namedChecks(upgrade, planned, subject);
  const step = (stage: AuthorityStage, title: string, writes: Write[], settle: SettleCondition[]): Step => ({
    id: `root/${stage}`,
    title,
    writes,
    settle,
    checks,
  });
  const stageWrite = (stage: AuthorityStage): Write => ({
    type: "field",
    object,
    pointer: annotationPointer(authorityStageAnnotation),
    value: stage,
  });
  return [
    step(
      "trust",
      `all proxies trust ${name} in addition to the current root`,
      [{ type: "create", object, body: nextSecret(root) }],
      [{ type: "rootTrusted", fingerprint }],
    ),
    step(
      "issue",
      `${name} signs, and all certificates are renewed`,
      [stageWrite("issue")],
      [{ type: "rootInUse", fingerprint }],
    ),
    step(
      "only",
      `all proxies trust only ${name}`,
      [stageWrite("only")],
      [
        { type: "rootInUse", fingerprint },
        { type: "rootAlone", fingerprint },
      ],
    ),
  ];
}

/** The last stage replaces the keys. Only another root rotation can revert this. */
export function rootEndSteps({ spec }: MeshUpgrade, { root }: MeshWorld): Step[] {
  if (root === undefined || spec.to.root === undefined) return [];
  const object = reference("v1", "Secret", nextRootName, root.namespace);
  return [
    {
      id: "root/done",
      title: "the new root replaces the old one; the Secret istio-ca-previous keeps the old one",
      writes: [{ type: "field", object, pointer: annotationPointer(authorityStageAnnotation), value: "done" }],
      settle: [{ type: "gone", object }],
      checks: [],
      phase: "Retiring",
    },
  ];
}

/** The engine copies the keys from Secret to Secret, so that the journal contains only the Secret's name. */
function nextSecret({ namespace, data }: NonNullable<MeshWorld["root"]>): UntypedObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: nextRootName, namespace, annotations: { [authorityStageAnnotation]: "trust" } },
    type: "istio.io/ca-root",
    data,
  };
}
