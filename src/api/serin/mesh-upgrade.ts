import { defineKind } from "../kind.ts";
import { parseIstioOperator, type IstioOperatorSpec } from "../istio/istio-operator.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import { rolloutGroup, rolloutVersion, type RolloutStatus } from "./rollout-status.ts";

/** rollout.serin.dev/v1alpha1 MeshUpgrade (cluster): the mesh itself, moved from one revision to another. */
export interface MeshUpgrade extends KubernetesObject {
  spec: MeshUpgradeSpec;
  status?: RolloutStatus;
}

export interface MeshUpgradeSpec {
  readonly from: { readonly revision: string };
  readonly to: {
    readonly revision: string;
    /** Specs of IstioOperators, installed in this order beside what is there. */
    readonly install: readonly IstioOperatorSpec[];
  };
  readonly scope: { readonly ztunnel: boolean; readonly gateways: boolean; readonly tags: boolean };
  /** Pods whose ztunnel changes at once, in one step. */
  readonly maxConcurrentPods: number;
  readonly checks: readonly CheckSpec[];
  readonly soakSeconds: number;
  readonly retire: "Automatic" | "Manual";
  readonly rollback: "Automatic" | "Manual";
  readonly paused: boolean;
  readonly abort: boolean;
  /** Approves the retiring of the old revision when `retire` is Manual. */
  readonly retireApproved: boolean;
}

export const meshUpgradeKind = defineKind<MeshUpgrade>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "MeshUpgrade",
  plural: "meshupgrades",
  namespaced: false,
  parse: parseMeshUpgrade,
});

export function parseMeshUpgrade(raw: unknown): Parsed<MeshUpgrade> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind");
  const metadata = reader.object("metadata")?.raw as MeshUpgrade["metadata"] | undefined;
  const status = reader.object("status")?.raw as RolloutStatus | undefined;
  const spec = reader.required("spec", reader.object("spec"));
  const parsed = spec === undefined ? undefined : parseSpec(spec);
  reader.unknownFields();
  return reader.finish(() => ({
    apiVersion: `${rolloutGroup}/${rolloutVersion}`,
    kind: "MeshUpgrade",
    metadata: metadata ?? {},
    spec: parsed as MeshUpgradeSpec,
    ...(status === undefined ? {} : { status }),
  }));
}

function parseSpec(spec: Reader): MeshUpgradeSpec {
  const from = spec.required("from", spec.object("from"));
  const to = spec.required("to", spec.object("to"));
  const scope = spec.object("scope");
  const fromRevision = from?.required("revision", from.string("revision")) ?? "";
  const toRevision = to?.required("revision", to.string("revision")) ?? "";
  if (fromRevision !== "" && fromRevision === toRevision) spec.error(`is the revision that is already there (${fromRevision})`, "to.revision");
  const install = to === undefined ? [] : parseInstall(to);
  const result: MeshUpgradeSpec = {
    from: { revision: fromRevision },
    to: { revision: toRevision, install },
    scope: { ztunnel: scope?.boolean("ztunnel") ?? true, gateways: scope?.boolean("gateways") ?? true, tags: scope?.boolean("tags") ?? true },
    maxConcurrentPods: spec.integer("maxConcurrentPods", 1, 1000) ?? 1,
    checks: parseChecks(spec, "checks"),
    soakSeconds: spec.integer("soakSeconds", 0, 604_800) ?? 0,
    retire: spec.oneOf("retire", ["Automatic", "Manual"]) ?? "Automatic",
    rollback: spec.oneOf("rollback", ["Automatic", "Manual"]) ?? "Automatic",
    paused: spec.boolean("paused") ?? false,
    abort: spec.boolean("abort") ?? false,
    retireApproved: spec.boolean("retireApproved") ?? false,
  };
  for (const part of [from, to, scope, spec]) part?.unknownFields();
  return result;
}

/** Each element is the spec of an IstioOperator; its faults are reported at its own path. */
function parseInstall(to: Reader): IstioOperatorSpec[] {
  const specs: IstioOperatorSpec[] = [];
  for (const element of to.list("install")) {
    const parsed = parseIstioOperator({ spec: element.raw });
    for (const issue of parsed.errors) element.error(issue.message, issue.path.replace(/^spec\.?/, ""));
    if (parsed.value !== undefined) specs.push(parsed.value.spec);
  }
  if (specs.length === 0 && !to.has("install")) to.error("must have at least one IstioOperator spec", "install");
  return specs;
}
