import { BoundedCache, SerinError, type Clock } from "../../base/index.ts";
import { keyOf } from "../../api/index.ts";
import type { Canary, JournalEntry, MeshUpgrade } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import {
  describeReference,
  isPuttingBack,
  isUnderWay,
  withApprovals,
  type DecideInput,
  type Refusal,
  type Step,
} from "../decide/index.ts";
import { observeCanaryWorld } from "../observe/canary-world.ts";
import type { CanarySources } from "../observe/canary-world/canary-sources.ts";
import { refuseTakenNames } from "../observe/canary-world/taken-names.ts";
import { ignoredReferences, withChecks } from "../observe/checks/resolve-references.ts";
import type { ClusterView } from "../observe/cluster-view.ts";
import type { LostMove } from "../observe/lost-journal/lost-values.ts";
import { observeMeshWorld, type ObservedWorld } from "../observe/mesh-world/mesh-world.ts";
import { observeNamespaces } from "../observe/mesh-world/namespaces.ts";
import { PriorValues } from "../observe/mesh-world/prior-values.ts";
import type { EngineImage } from "../observe/mesh-world/render-install.ts";
import { refuseOtherRoot } from "../observe/probes/probe-roots.ts";
import {
  copiesOf,
  isTargetCode,
  meantRule,
  planCanary,
  planMeshUpgrade,
  restartGaps,
  rollingStep,
  type MeshWorld,
} from "../plan/index.ts";
import { isMeshUpgrade, isWatched, specCandidate, type Rollout } from "./rollout-object.ts";

export interface Plan {
  readonly steps: readonly Step[];
  readonly change: DecideInput["change"];
}

export interface PlannerOptions {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly image: EngineImage;
}

const worldMaxAgeMs = 1000;
const maxWorlds = 64;

/**
 * The pause after a read of all namespaces, as a multiple of the read's time. Reads then take at most one tenth of the
 * time.
 */
const namespacesRest = 10;

interface KeptWorld extends ObservedWorld {
  world: MeshWorld;
  namespaces: { readonly atMs: number; readonly tookMs: number };
  readonly uid: string | undefined;
  readonly stepsDone: number;
  readonly generation: number;
  readonly atMs: number;
}

export class Planner {
  readonly #options: PlannerOptions;
  readonly #worlds = new BoundedCache<string, KeptWorld>(maxWorlds);

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /**
   * Throws a user error that names the field when the spec does not fit the cluster. `others`: see
   * {@link CanarySources}.
   */
  async plan(rollout: Rollout, journal: readonly JournalEntry[], others?: CanarySources["others"]): Promise<Plan> {
    const { client, objects, view } = this.#options;
    if (isMeshUpgrade(rollout)) {
      const resolved = await withChecks(client, view, rollout);
      const world = await this.#meshWorld(rollout, journal);
      const remarks = [...ignoredReferences(rollout, resolved), ...restartGaps(resolved, world)];
      return {
        steps: withApprovals(planMeshUpgrade(resolved, world), rollout.spec.approvals),
        change: { ...unplannedChange(rollout), ...(remarks.length === 0 ? {} : { remarks }) },
      };
    }
    const sources = { client, objects, view, ...(others === undefined ? {} : { others }) };
    const world = await observeCanaryWorld(sources, rollout, journal);
    const meant = meantRule(rollout, world);
    const change =
      world.candidate === undefined
        ? { ...unplannedChange(rollout), ...(meant === undefined ? {} : { meantRule: meant }) }
        : {
            candidate: world.candidate,
            watched: true,
            ...(world.idle === true ? { idle: true } : {}),
            ...(world.held === undefined ? {} : { held: world.held }),
            ...(world.resumed === undefined ? {} : { resumed: world.resumed }),
          };
    const steps = planCanary(await withChecks(client, view, rollout), world);
    if (journal.every(({ setup }) => setup === true)) await refuseTakenNames({ objects }, rollout, steps, journal);
    return { steps: withApprovals(steps, rollout.spec.approvals), change };
  }

  /**
   * What the plan of a Canary of a Deployment shows if its journal is lost: the objects that the Canary has made, and
   * the values from before the run. Undefined if nothing can be planned, for example because the target is gone, or if
   * the run has reached the step that rolls the Deployment: then no ReplicaSet shows for certain which template the
   * Deployment had before.
   */
  async lostRun(canary: Canary): Promise<LostMove | undefined> {
    const { client, objects, view } = this.#options;
    const { metadata, spec, status } = canary;
    const runs = status !== undefined && (isUnderWay(status) || isPuttingBack(status)) && (status.run ?? 0) > 0;
    const reached = [...(status?.completedSteps ?? []), ...(status?.step === undefined ? [] : [status.step])];
    if ((runs && reached.some(({ id }) => id === rollingStep)) || !("deployment" in spec.target)) return undefined;
    try {
      const steps = planCanary(canary, await observeCanaryWorld({ client, objects, view }, canary, [], false));
      const copies = copiesOf(spec.target.deployment, metadata.namespace).map(describeReference);
      return { steps: steps.filter(({ setup }) => runs || setup === true), copies };
    } catch (error) {
      if (planRefusal(error) === undefined) throw error;
      return undefined;
    }
  }

  /**
   * Reads the world again when a step has ended, and otherwise about once a second. Namespaces come from the watch and
   * are up to date, so the next pods of a step move as soon as the pods before them have moved.
   */
  async #meshWorld(upgrade: MeshUpgrade, journal: readonly JournalEntry[]): Promise<MeshWorld> {
    const { client, view, clock, image } = this.#options;
    const stepsDone = upgrade.status?.completedSteps.length ?? 0;
    const { uid, generation = 0 } = upgrade.metadata;
    const kept = this.#worlds.get(keyOf(upgrade));
    if (
      kept !== undefined &&
      kept.uid === uid &&
      kept.stepsDone === stepsDone &&
      kept.generation === generation &&
      clock.steadyMs() - kept.atMs < worldMaxAgeMs
    )
      return await this.#withNamespaces(kept, upgrade, journal);
    const observed = await observeMeshWorld({ client, view, image, nowMs: clock.nowMs() }, upgrade, journal);
    await refuseOtherRoot(client, view, upgrade, observed.world);
    const atMs = clock.steadyMs();
    this.#worlds.set(keyOf(upgrade), {
      ...observed,
      uid,
      stepsDone,
      generation,
      atMs,
      namespaces: { atMs, tookMs: 0 },
    });
    return observed.world;
  }

  async #withNamespaces(kept: KeptWorld, upgrade: MeshUpgrade, journal: readonly JournalEntry[]): Promise<MeshWorld> {
    const { view, clock } = this.#options;
    const begunMs = clock.steadyMs();
    if (begunMs - kept.namespaces.atMs < kept.namespaces.tookMs * namespacesRest) return kept.world;
    const namespaces = await observeNamespaces({ view, upgrade, prior: new PriorValues(journal), leads: kept.leads });
    kept.world = { ...kept.world, namespaces };
    kept.namespaces = { atMs: clock.steadyMs(), tookMs: clock.steadyMs() - begunMs };
    return kept.world;
  }
}

/** The digest of what to roll out, for a round that has no plan. */
export function unplannedChange(rollout: Rollout): DecideInput["change"] {
  if (isWatched(rollout)) return { candidate: rollout.status?.candidate ?? "", watched: true };
  return { candidate: specCandidate(rollout), watched: false };
}

/**
 * Why a spec cannot be planned, if the spec or its target is the cause. If the target is the cause, the message
 * contains advice.
 */
export function planRefusal(error: unknown): Refusal | undefined {
  if (!(error instanceof SerinError) || error.kind !== "user") return undefined;
  const { message, hint, code } = error;
  const remedy = hint ?? (isTargetCode(code) ? undefined : "correct the spec");
  return { reason: "spec", problem: message, ...(remedy === undefined ? {} : { remedy }) };
}
