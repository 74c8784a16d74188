import { treeOf, type Tree } from "../../../base/index.ts";
import type { Canary, CanarySpec, CanaryStep, DeploymentTarget, ObjectReference } from "../../../api/serin/index.ts";
import { describeReference, type SettleCondition, type Write } from "../../decide/index.ts";
import { reference } from "../references.ts";
import type { CanaryWorld, DeploymentInWorld } from "./canary-world.ts";
import {
  autoscalerOf,
  copyLabel,
  copyLabels,
  copyName,
  copyOf,
  copyReference,
  maxReplicasOf,
  serviceOf,
  templateHashLabel,
  type CopyRole,
} from "./deployment-copies.ts";
import { creation, describeMade, shiftOf } from "./made-route.ts";
import { targetError } from "./target-error.ts";
import type { Move, PartialStep, Subject, TargetPlan } from "./target-plan.ts";
import { noTraffic } from "./traffic.ts";
import { versionsOf, type Versions } from "./deployment-versions.ts";
import { created, field, heldBy, holding } from "./deployment-writes.ts";
import { canaryPods, stablePods } from "./pod-counts.ts";

export const rollingStep = "promote-roll";

/**
 * Plans a target whose pods the engine runs. The engine holds the Deployment, and a changed pod template starts a run.
 */
export function deploymentTargetPlan(canary: Canary, target: DeploymentTarget, world: CanaryWorld): TargetPlan {
  const deployment = world.deployment;
  if (deployment === undefined)
    throw targetError(
      "target-missing",
      `spec.target.deployment: Deployment ${canary.metadata.namespace ?? ""}/${target.name} does not exist`,
      "create it first",
    );
  return new DeploymentPlan(canary, target, deployment);
}

class DeploymentPlan implements TargetPlan {
  readonly namespaces: readonly string[];
  readonly idle: boolean;
  readonly #name: string;
  readonly #spec: CanarySpec;
  readonly #target: DeploymentTarget;
  readonly #world: DeploymentInWorld;
  readonly #versions: Versions;

  constructor({ metadata: { name = "" }, spec }: Canary, target: DeploymentTarget, world: DeploymentInWorld) {
    this.#name = name;
    this.#spec = spec;
    this.#target = target;
    this.#world = world;
    this.#versions = versionsOf(spec, target, world);
    this.namespaces = [world.object.namespace ?? ""];
    this.idle = world.idle;
  }

  get setup(): readonly PartialStep[] {
    const { object } = this.#world;
    const { previewService } = this.#target;
    const preview =
      previewService === undefined ? [] : [created(serviceOf(previewService, this.#world, { [copyLabel]: "canary" }))];
    return [
      {
        id: "settled",
        title: `wait until ${describeReference(object)} runs only one pod template`,
        writes: [],
        settle: [{ type: "ready", object }],
      },
      {
        id: "hold",
        title: `hold ${describeReference(object)}, so that this Canary rolls out a new pod template`,
        writes: [heldBy(object, this.#name), holding(object)],
        settle: [],
      },
      this.#versions.setup,
      {
        id: "routes",
        title: `create ${describeMade(this.#versions.routes)}, with all requests to the stable pods`,
        ...withMore(creation(this.#versions.routes), preview),
      },
    ];
  }

  get begin(): readonly PartialStep[] {
    const replicas = this.#wanted(this.#spec.steps.slice(0, 1));
    const copy = copyOf(this.#target, this.#world, "canary", this.#world.candidateTemplate, replicas);
    const autoscaler = autoscalerOf(this.#target, this.#world, replicas);
    // The copy's autoscaler may have removed pods, and adds none before requests come, so the step waits only for as
    // many pods as the copy has now.
    const { copyReplicas = replicas } = this.#world;
    const awaited = autoscaler === undefined ? replicas : Math.min(replicas, Math.max(1, copyReplicas));
    return [
      {
        id: "copy",
        title: `run ${replicas} canary ${replicas === 1 ? "pod" : "pods"}: ${imagesOf(this.#world.candidateTemplate)}`,
        writes: [
          this.#adopted(),
          copy.write,
          ...(autoscaler === undefined ? [] : [created(autoscaler)]),
          ...this.#grown(replicas),
        ],
        settle: this.#running("canary", awaited),
        essential: true,
      },
    ];
  }

  before(move: Move): readonly PartialStep[] {
    const had = this.#wanted(move.soFar.slice(0, -1));
    const wants = this.#wanted(move.soFar);
    const scale = move.id === "step-1" || wants <= had ? [] : [this.#scaleCopy(`${move.id}-scale`, wants)];
    const stable = this.#stableReplicas(move.traffic.weight);
    const grow =
      stable > this.#stableReplicas(move.before.weight) ? [this.#scaleStable(`${move.id}-stable`, stable)] : [];
    return [
      ...scale,
      ...grow,
      ...(move.step.experiment === undefined ? [] : [this.#experiment(move.id, move.step.experiment)]),
    ];
  }

  follow(move: Move): readonly Write[] {
    return this.#grown(Math.max(this.#wanted(move.soFar.slice(0, -1)), this.#wanted(move.soFar)));
  }

  shift(traffic: Parameters<TargetPlan["shift"]>[0]): ReturnType<TargetPlan["shift"]> {
    return shiftOf(this.#versions.routes, traffic);
  }

  after(move: Move): readonly PartialStep[] {
    const had = this.#wanted(move.soFar.slice(0, -1));
    const wants = this.#wanted(move.soFar);
    const shrink = move.id !== "step-1" && wants < had ? [this.#scaleCopy(`${move.id}-scale`, wants, false)] : [];
    const stable = this.#stableReplicas(move.traffic.weight);
    const less =
      stable < this.#stableReplicas(move.before.weight) ? [this.#scaleStable(`${move.id}-stable`, stable)] : [];
    return [...shrink, ...less, ...(move.step.experiment === undefined ? [] : [this.#endExperiment(move)])];
  }

  /** Rolls the Deployment to the judged template while all requests go to the copy. Then the copy is deleted. */
  get end(): readonly PartialStep[] {
    const { object, replicas } = this.#world;
    const full = this.#wanted(this.#spec.steps) >= replicas;
    const rolled = {
      type: "endpoints",
      service: this.#service("stable"),
      labels: this.#stableLabels(),
      atLeast: replicas,
    } as const;
    return [
      ...(full ? [] : [this.#scaleCopy("promote-scale", replicas)]),
      {
        id: "promote-shift",
        title: "all requests to the canary",
        ...withFirst(this.#grown(replicas), this.shift({ ...noTraffic, weight: 100, otherPorts: "canary" })),
        weight: 100,
        ...(this.#spec.scaleDownDelaySeconds === 0 ? {} : { holdMs: this.#spec.scaleDownDelaySeconds * 1000 }),
      },
      {
        id: rollingStep,
        title: `roll ${describeReference(object)} to the new pod template`,
        writes: [
          ...this.#grown(replicas),
          field(object, "/spec/paused", undefined),
          ...(this.#spec.dynamicStableScale ? [field(object, "/spec/replicas", replicas)] : []),
          { ...this.#adopted(), restart: "template" },
        ],
        settle: [{ type: "ready", object }],
      },
      {
        id: "promote-stable",
        title: "the stable version has the new pod template",
        // Hold the Deployment here, so that a template that changes from now on waits for the next run. The last step
        // holds it too, for runs that an earlier release began without this write.
        ...withMore(withSettle(this.#movedStable(), rolled), [holding(object)]),
      },
      {
        id: "promote-route",
        title: "all requests to the Deployment's own pods",
        ...this.shift({ ...noTraffic, otherPorts: "stable" }),
      },
      this.#removal(),
    ];
  }

  get subjects(): readonly Subject[] {
    return [{ canary: this.#group("canary", "canary"), stable: this.#group("stable", "stable") }];
  }

  get experimentSubjects(): readonly Subject[] {
    return [
      {
        canary: this.#group("experiment-canary", "experiment-canary"),
        stable: this.#group("experiment-baseline", "experiment-baseline"),
      },
    ];
  }

  #group(role: CopyRole | "stable", version: CopyRole | "stable"): Subject["canary"] {
    const { object } = this.#world;
    return {
      namespace: object.namespace ?? "",
      service: this.#versions.serviceOf(version),
      workload: role === "stable" ? object.name : copyName(this.#target, role),
      podLabels: role === "stable" ? this.#stableLabels(this.#world.stableHash) : copyLabels(this.#world, role),
    };
  }

  #stableLabels(hash = this.#world.candidateHash): Readonly<Record<string, string>> {
    return {
      ...(treeOf(this.#world.selector["matchLabels"]) as Record<string, string>),
      [templateHashLabel]: hash ?? "",
    };
  }

  #movedStable(): ReturnType<Versions["moveStable"]> {
    const { candidateHash } = this.#world;
    // The ReplicaSet exists only after the Deployment has rolled. Without it, this step cannot be under way.
    return candidateHash === undefined
      ? { writes: [], settle: [{ type: "ready", object: this.#world.object }] }
      : this.#versions.moveStable(candidateHash);
  }

  #adopted(): Extract<Write, { type: "field" }> {
    const { object, candidateTemplate, stableTemplate } = this.#world;
    return {
      type: "field",
      object,
      pointer: "/spec/template",
      value: candidateTemplate,
      adopted: { prior: stableTemplate },
    };
  }

  #service(role: CopyRole | "stable"): ObjectReference {
    return reference("v1", "Service", this.#versions.serviceOf(role), this.#world.object.namespace ?? "");
  }

  #running(role: CopyRole, replicas: number): SettleCondition[] {
    const ready: SettleCondition = { type: "ready", object: copyReference(this.#target, this.#world, role), replicas };
    const labels = copyLabels(this.#world, role);
    return replicas === 0
      ? [ready]
      : [ready, { type: "endpoints", service: this.#service(role), labels, atLeast: replicas }];
  }

  get #copyIsAutoscaled(): boolean {
    const { autoscaler, copyReplicas, copyIsAutoscaled } = this.#world;
    return copyReplicas === undefined ? autoscaler !== undefined : copyIsAutoscaled === true;
  }

  /**
   * Sets the number of pods of the canary copy. With an autoscaler, only the autoscaler's bounds change. But an
   * autoscaler does nothing for a copy that has been scaled to 0.
   */
  #copySize(replicas: number): readonly Write[] {
    const copy = copyReference(this.#target, this.#world, "canary");
    const size = { ...field(copy, "/spec/replicas", replicas), own: true } as const;
    if (!this.#copyIsAutoscaled || replicas === 0) return [size];
    const autoscaler = reference("autoscaling/v2", "HorizontalPodAutoscaler", copy.name, copy.namespace);
    // The server refuses a minimum above the maximum, which the copy's autoscaler has from an earlier time.
    const { copyMaxReplicas = replicas, autoscaler: original } = this.#world;
    const most = maxReplicasOf(original, replicas);
    return [
      ...(copyMaxReplicas < replicas ? [{ ...field(autoscaler, "/spec/maxReplicas", most), own: true } as const] : []),
      { ...field(autoscaler, "/spec/minReplicas", replicas), own: true },
      ...(this.#world.copyReplicas === 0 ? [size] : []),
    ];
  }

  /**
   * Adds pods to a copy that has fewer than its share, because somebody has scaled the Deployment up meanwhile.
   * Additional pods that somebody has given to the copy stay. An autoscaler adds the pods itself, except to a copy with
   * 0 pods: an earlier run may have left such a copy, or somebody may have scaled it to 0.
   */
  #grown(replicas: number): readonly Write[] {
    const { copyReplicas = replicas } = this.#world;
    const isShort = copyReplicas < (this.#copyIsAutoscaled ? Math.min(1, replicas) : replicas);
    return isShort ? this.#copySize(replicas) : [];
  }

  #scaleCopy(id: string, replicas: number, essential = true): PartialStep {
    return {
      id,
      title: `${replicas} canary ${replicas === 1 ? "pod" : "pods"}`,
      writes: this.#copySize(replicas),
      settle: this.#running("canary", replicas),
      essential,
    };
  }

  #scaleStable(id: string, replicas: number): PartialStep {
    const { object } = this.#world;
    return {
      id,
      title: `${replicas} stable ${replicas === 1 ? "pod" : "pods"}`,
      writes: [field(object, "/spec/replicas", replicas)],
      settle: [],
    };
  }

  #stableReplicas(weight: number): number {
    return stablePods(this.#spec, this.#world.replicas, weight);
  }

  #wanted(steps: readonly CanaryStep[]): number {
    return canaryPods(this.#world.replicas, steps);
  }

  #experiment(id: string, { replicas }: NonNullable<CanaryStep["experiment"]>): PartialStep {
    const baseline = copyOf(this.#target, this.#world, "experiment-baseline", this.#world.stableTemplate, replicas);
    const canary = copyOf(this.#target, this.#world, "experiment-canary", this.#world.candidateTemplate, replicas);
    const services =
      this.#target.routes === "VirtualService"
        ? []
        : (["experiment-baseline", "experiment-canary"] as const).map((role) =>
            created(serviceOf(this.#versions.serviceOf(role), this.#world, { [copyLabel]: role })),
          );
    return {
      id: `${id}-copies`,
      title: `run a baseline and a canary side by side, ${replicas} ${replicas === 1 ? "pod" : "pods"} each`,
      writes: [baseline.write, canary.write, ...services],
      settle: [...this.#running("experiment-baseline", replicas), ...this.#running("experiment-canary", replicas)],
    };
  }

  #endExperiment({ id, traffic }: Move): PartialStep {
    const { writes, settle } = this.shift({ ...traffic, mirrors: [] });
    const copies = (["experiment-baseline", "experiment-canary"] as const).map((role) =>
      copyReference(this.#target, this.#world, role),
    );
    return {
      id: `${id}-end`,
      title: "end the experiment",
      writes: [...writes, ...copies.map((object): Write => ({ type: "delete", object, own: true }))],
      settle,
      essential: true,
    };
  }

  #removal(): PartialStep {
    const copy = copyReference(this.#target, this.#world, "canary");
    const autoscaler: Write[] =
      this.#world.autoscaler === undefined && !this.#copyIsAutoscaled
        ? []
        : [
            {
              type: "delete",
              object: reference("autoscaling/v2", "HorizontalPodAutoscaler", copy.name, copy.namespace),
            },
          ];
    return {
      id: "promote-end",
      title: `remove the canary copy and hold ${describeReference(this.#world.object)} again`,
      writes: [holding(this.#world.object), ...autoscaler, { type: "delete", object: copy }],
      settle: [{ type: "gone", object: copy }],
    };
  }
}

function withFirst<Part extends { readonly writes: readonly Write[] }>(writes: readonly Write[], part: Part): Part {
  return { ...part, writes: [...writes, ...part.writes] };
}

function withMore<Part extends { readonly writes: readonly Write[] }>(part: Part, writes: readonly Write[]): Part {
  return { ...part, writes: [...part.writes, ...writes] };
}

function withSettle<Part extends { readonly settle: readonly SettleCondition[] }>(
  part: Part,
  condition: SettleCondition,
): Part {
  return { ...part, settle: [...part.settle, condition] };
}

function imagesOf(template: Tree): string {
  const containers = treeOf(template["spec"])["containers"];
  const images = Array.isArray(containers)
    ? containers.map((container) => (treeOf(container) as { image?: string }).image ?? "")
    : [];
  return images.join(", ");
}
