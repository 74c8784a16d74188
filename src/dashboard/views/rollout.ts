import type { UntypedObject } from "../../api/index.ts";
import type { RolloutActionOffer, RolloutCheck, RolloutStep, RolloutView } from "../../api/dashboard/index.ts";
import {
  canaryKind,
  checkKind,
  explainCheck,
  meshUpgradeKind,
  messageWithoutEvidence,
  type CheckSpec,
  type CheckStatus,
  type DecisionRecord,
} from "../../api/serin/index.ts";
import { comparisonOf } from "./check-comparison.ts";
import { eventRows } from "./events.ts";
import type { Inventory } from "./inventory.ts";
import { manifestYaml } from "./manifest-yaml.ts";
import { timeMs } from "./mesh-objects.ts";
import { backendText, comparedSides, workloadsOf, type ComparedBackend } from "./moved-workloads.ts";
import { isUpgrade, rolloutRow, type Rollout } from "./rollouts.ts";
import { asWritten } from "./sound-rollouts.ts";
import { isVisible, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

/** How many of the newest decisions a page lists. The verb `history` prints all. */
export const maxListedDecisions = 200;
/** How many workloads of each version a page links. Few Services select more. */
const maxLinkedWorkloads = 8;

export interface RolloutParameters {
  readonly kind: "Canary" | "MeshUpgrade";
  readonly namespace: string;
  readonly name: string;
}

export function findRollout({ objects }: Inventory, { kind, namespace, name }: RolloutParameters): Rollout | undefined {
  const all: readonly Rollout[] = kind === "Canary" ? objects.canaries : objects.upgrades;
  return all.find(({ metadata }) => metadata.name === name && (metadata.namespace ?? "") === namespace);
}

/** What a rollout's view shows only to this reader. */
export interface RolloutReader {
  readonly actions: readonly RolloutActionOffer[];
  readonly visible: VisibleNamespaces;
}

export function rolloutView(
  { atMs, sources, inventory }: ViewInput,
  rollout: Rollout,
  { actions, visible }: RolloutReader,
): RolloutView {
  const { status, metadata } = rollout;
  const sides = isUpgrade(rollout) ? undefined : comparedSides(rollout, inventory);
  const weights = weightsOf(rollout);
  const journal = inventory.objects.journals.find(
    ({ metadata: { name } }) =>
      name ===
      [rolloutRow(rollout).kind.toLowerCase(), metadata.namespace, metadata.name]
        .filter((part) => part !== undefined && part !== "")
        .join("."),
  );
  const workloads = (side: ComparedBackend | undefined): readonly string[] =>
    side === undefined || !isVisible(visible, side.namespace)
      ? []
      : workloadsOf(side, inventory)
          .filter((key) => inventory.workloads.has(key))
          .slice(0, maxLinkedWorkloads);
  const decisions = journal?.decisions ?? [];
  return {
    head: {
      atMs,
      sources,
      row: rolloutRow(rollout),
      uid: metadata.uid ?? "",
      run: status?.run ?? 0,
      // An object that no webhook has completed may lack the field.
      paused: (rollout.spec as { readonly paused?: boolean }).paused === true,
      ...(status?.step === undefined ? {} : { currentStep: status.step }),
      ...(status?.undo === undefined ? {} : { undo: status.undo }),
      approvals: (rollout.spec.approvals ?? []).map(({ step, by, why, at }) => ({
        step,
        by,
        why,
        atMs: timeMs(at) ?? 0,
      })),
      actions,
      canaryBackend: sides === undefined ? "" : backendText(sides.canary),
      stableBackend: sides === undefined ? "" : backendText(sides.stable),
      canaryWorkloads: workloads(sides?.canary),
      stableWorkloads: workloads(sides?.stable),
      olderDecisions: Math.max(0, decisions.length - maxListedDecisions),
      yaml: manifestYaml(asWritten(rollout) as unknown as UntypedObject),
    },
    tables: {
      steps: stepRows(rollout, weights),
      checks: checkRows(rollout, inventory, weights),
      decisions: decisionRows(decisions),
      events: eventRows(
        inventory.objects.events,
        ({ involvedObject: object }) =>
          object.kind === rolloutRow(rollout).kind &&
          object.name === metadata.name &&
          (object.namespace ?? "") === (metadata.namespace ?? ""),
      ),
    },
  };
}

/** The canary's percentage in each step, by the step's id. */
function weightsOf(rollout: Rollout): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  if (!isUpgrade(rollout))
    for (const [index, { weight }] of (rollout.spec.steps ?? []).entries())
      if (weight !== undefined) weights.set(`step-${index + 1}`, weight);
  return weights;
}

function stepRows({ status, ...rollout }: Rollout, weights: ReadonlyMap<string, number>): Record<string, RolloutStep> {
  const completed = new Map((status?.completedSteps ?? []).map((step) => [step.id, step]));
  const planned = status?.plannedSteps ?? [
    ...[...completed.values()].map(({ id, title }) => ({ id, title })),
    ...(status?.step === undefined || completed.has(status.step.id)
      ? []
      : [{ id: status.step.id, title: status.step.title }]),
  ];
  const rows = planned.map((step, index): [string, RolloutStep] => {
    const done = completed.get(step.id);
    const weight = weights.get(step.id) ?? (rollout.kind === "MeshUpgrade" ? weightInId(step.id) : undefined);
    const state = done !== undefined ? "done" : status?.step?.id === step.id ? "current" : "to come";
    return [
      String(index).padStart(3, "0"),
      {
        ...step,
        state,
        ...(weight === undefined ? {} : { weight }),
        ...(done === undefined ? {} : { completed: done }),
      },
    ];
  });
  return Object.fromEntries(rows);
}

/** The weight in the id of a step that moves a gateway or waypoint: `waypoint/shop/waypoint/50`. */
function weightInId(id: string): number | undefined {
  const [, text] = /\/(\d+)(?:\/pods)?$/.exec(id) ?? [];
  return text === undefined ? undefined : Number(text);
}

function checkRows(
  rollout: Rollout,
  inventory: Inventory,
  weights: ReadonlyMap<string, number>,
): Record<string, RolloutCheck> {
  const { status } = rollout;
  if (status?.step === undefined) return {};
  const { id, checks } = status.step;
  const specs = specsOf(rollout, inventory, id);
  return Object.fromEntries(
    checks.map((check, index) => {
      const spec = specs.get(check.name ?? check.type);
      const comparison = comparisonOf(check, spec, weights.get(id) ?? status.weight);
      const { statistic: _internal, ...shown } = check;
      const row: RolloutCheck = {
        ...(shown satisfies CheckStatus),
        step: id,
        explanation: spec === undefined ? "" : explainCheck(spec).join(" "),
        ...(comparison === undefined ? {} : { comparison }),
      };
      return [String(index).padStart(3, "0"), row];
    }),
  );
}

/** The specs of a step's checks by name. The Check replaces a reference to it. */
function specsOf(rollout: Rollout, { objects }: Inventory, stepId: string): ReadonlyMap<string, CheckSpec> {
  const parsed = isUpgrade(rollout) ? meshUpgradeKind.parse?.(rollout).value : canaryKind.parse?.(rollout).value;
  if (parsed === undefined) return new Map();
  const ofSteps =
    "steps" in parsed.spec ? parsed.spec.steps.filter((_, index) => stepId === `step-${index + 1}`) : parsed.spec.waves;
  const specs = [...parsed.spec.checks, ...ofSteps.flatMap(({ checks }) => checks)];
  return new Map(
    specs.map((spec) => {
      if (spec.ref === undefined) return [spec.name ?? spec.type, spec] as const;
      const { name, namespace = rollout.metadata.namespace ?? "" } = spec.ref;
      const found = objects.checks.find(({ metadata }) => metadata.name === name && metadata.namespace === namespace);
      const own = found === undefined ? undefined : checkKind.parse?.(found).value?.spec;
      return [
        spec.name ?? name,
        own === undefined
          ? spec
          : { ...own, name: spec.name ?? name, dryRun: spec.dryRun === true || own.dryRun === true },
      ] as const;
    }),
  );
}

function decisionRows(decisions: readonly DecisionRecord[]): Record<string, DecisionRecord> {
  const first = Math.max(0, decisions.length - maxListedDecisions);
  return Object.fromEntries(
    decisions
      .slice(first)
      .map((decision, index) => [
        String(first + index).padStart(5, "0"),
        { ...decision, message: messageWithoutEvidence(decision) },
      ]),
  );
}
