import { jsonEqualWithoutNulls, type Tree } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Canary, JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { madeObjects } from "../observe/canary-world/taken-names.ts";
import { neededRouting } from "../observe/canary-world/lost-objects.ts";
import { checkRuns, heldWithoutPods, isResumed } from "../observe/canary-world/deployment-in-world.ts";
import { firstWrite, setupWrite } from "../observe/canary-world/prior-values.ts";
import { routeFrom } from "../observe/canary-world/route-in-world.ts";
import { withApprovals } from "../decide/index.ts";
import { unplannedChange, type Plan } from "../engine/planner.ts";
import {
  copyLabel,
  copyName,
  holding,
  meantRule,
  movedRoutes,
  ownRecord,
  planCanary,
  reference,
  targetError,
  type CanaryWorld,
  type DeploymentInWorld,
  type Subject,
} from "../plan/index.ts";
import { objectsOf, otherNamespace, plainCanary, type SimApp, type SimCanary } from "./canary-shape.ts";
import { versionOf } from "./canary-before.ts";
import { bodyOf, type ModelObject } from "./model-object.ts";

/** The journal of a Canary, and those of the rollouts that move the list in which the Canary names a position. */
export interface Journals {
  readonly journal: readonly JournalEntry[];
  readonly others: readonly (readonly JournalEntry[])[];
}

export interface AppObjects {
  find(object: ObjectReference): ModelObject | undefined;
}

export const templatePointer = "/spec/template";
const replicasPointer = "/spec/replicas";
const subsetsPointer = "/spec/subsets";

/** The real planner's plan of a Canary for the present state of the model, as `Planner.plan` returns it. */
export function canaryPlan(objects: AppObjects, app: SimApp, canary: Canary, { journal, others }: Journals): Plan {
  const found = (object: ObjectReference): UntypedObject | undefined => {
    const known = objects.find(object);
    return known === undefined ? undefined : bodyOf(known);
  };
  for (const { object, error } of neededRouting(canary, journal)) if (objects.find(object) === undefined) throw error();
  const world = worldOf(objects, app, canary, { journal, others });
  const steps = planCanary(canary, world);
  if (journal.every(({ setup }) => setup === true))
    for (const { object, refusal } of madeObjects(canary, steps, journal)) {
      const error = refusal(found(object));
      if (error !== undefined) throw error;
    }
  const meant = meantRule(canary, world);
  const change =
    world.candidate === undefined
      ? { ...unplannedChange(canary), ...(meant === undefined ? {} : { meantRule: meant }) }
      : {
          candidate: world.candidate,
          watched: true,
          ...(world.idle === true ? { idle: true } : {}),
          ...(world.held === undefined ? {} : { held: world.held }),
          ...(world.resumed === undefined ? {} : { resumed: world.resumed }),
        };
  return { steps: withApprovals(steps, canary.spec.approvals), change };
}

function worldOf(objects: AppObjects, app: SimApp, canary: Canary, { journal, others }: Journals): CanaryWorld {
  const { canary: shape = plainCanary } = app;
  if (shape.target === "deployment") {
    const deployment = deploymentOf(objects, app, canary, journal);
    return {
      routes: [],
      missingGrants: [],
      subjects: [],
      deployment,
      candidate: deployment.candidate,
      idle: deployment.idle,
      ...(deployment.held === undefined ? {} : { held: deployment.held }),
      ...(deployment.isResumed === true ? { resumed: holding(deployment.object) } : {}),
    };
  }
  const routes = movedRoutes(canary).map((route) => {
    const found = objects.find(route.object);
    const isCounted = typeof route.rule === "number" && ownRecord(route) === undefined;
    return routeFrom(route, journal, found === undefined ? undefined : bodyOf(found), isCounted ? others : []);
  });
  return {
    routes,
    missingGrants: grantsOf(app, shape),
    subjects: subjectsOf(app, shape),
    ...(shape.target === "services" ? { servicePorts: [{ name: "http", port: 80 }] } : {}),
  };
}

/** The ReferenceGrants that the routes need. In the model, only the engine makes any. */
function grantsOf(app: SimApp, { target, routes, elsewhere }: SimCanary): CanaryWorld["missingGrants"] {
  if (routes === "VirtualService" || !(elsewhere || target === "namespaces")) return [];
  const service = target === "namespaces" ? {} : { service: `canary-${app.name}` };
  return [{ kind: routes, fromNamespace: app.namespace, toNamespace: otherNamespace(app), ...service }];
}

function subjectsOf(app: SimApp, { target, by }: SimCanary): Subject[] {
  const { name, namespace } = app;
  const { canaryNamespace } = objectsOf(app);
  if (target === "namespaces")
    return [`web-${name}`, `api-${name}`].map((service) => ({
      canary: { namespace: canaryNamespace, service, podLabels: { app: name } },
      stable: { namespace, service, podLabels: { app: name } },
    }));
  const ofSubset = target === "virtualService" && by === "subsets";
  const group = (role: "stable" | "canary", workload: string, at: string): Subject["canary"] => ({
    namespace: at,
    service: ofSubset ? name : `${role}-${name}`,
    ...(ofSubset ? { workload: `${workload}-${name}` } : {}),
    podLabels: { app: name, version: role === "stable" ? "v1" : "v2" },
  });
  return [{ canary: group("canary", "canary", canaryNamespace), stable: group("stable", "app", namespace) }];
}

/** Models `deploymentInWorld` of the observer. */
function deploymentOf(
  objects: AppObjects,
  app: SimApp,
  canary: Canary,
  journal: readonly JournalEntry[],
): DeploymentInWorld {
  const { name } = app;
  const { target } = canary.spec;
  const { app: object } = objectsOf(app);
  const found = objects.find(object);
  if (found === undefined || !("deployment" in target))
    throw targetError(
      "target-missing",
      `spec.target.deployment.name: Deployment ${object.name} does not exist`,
      "create it first, or name another",
    );
  const present = found.fields.get(replicasPointer) ?? 1;
  checkRuns(canary, object.name, present);
  const current = found.fields.get(templatePointer) as Tree;
  const stable = stableTemplate(found, journal) as Tree;
  const copy = objects.find({ ...object, name: copyName(target.deployment, "canary") });
  const scaler = (of: string) => reference("autoscaling/v2", "HorizontalPodAutoscaler", of, object.namespace);
  const autoscaler = objects.find(scaler(object.name));
  const ofCopy = objects.find(scaler(copyName(target.deployment, "canary")));
  const copyMaxReplicas = Number(ofCopy?.fields.get("/spec/maxReplicas"));
  const replicas = firstWrite(journal, object, replicasPointer)?.prior;
  const service = objects.find(reference("v1", "Service", name, object.namespace));
  const rule = ruleOf(objects, app, journal);
  const version = versionOf(current);
  const changes = !jsonEqualWithoutNulls(current, stable);
  const held = changes ? heldWithoutPods(canary, object, present) : undefined;
  const hash = found.ran?.has(version) === true ? templateHash(current) : undefined;
  return {
    object,
    uid: String(found.uid),
    labels: {},
    replicas: typeof replicas === "number" ? replicas : Number(present),
    selector: { matchLabels: { app: name } },
    spec: {},
    stableTemplate: stable,
    stableHash: templateHash(stable),
    candidateTemplate: current,
    service: {
      ports: (service?.fields.get("/spec/ports") ?? []) as readonly Tree[],
      selector: { app: name },
    },
    ...(copy === undefined
      ? {}
      : { copyReplicas: Number(copy.fields.get(replicasPointer) ?? 1), copyIsAutoscaled: ofCopy !== undefined }),
    ...(ofCopy === undefined ? {} : { copyMaxReplicas }),
    ...(hash === undefined ? {} : { candidateHash: hash }),
    ...(rule === undefined ? {} : { destinationRule: rule }),
    ...(autoscaler === undefined ? {} : { autoscaler: bodyOf(autoscaler) }),
    candidate: version,
    idle: !changes || held !== undefined,
    ...(held === undefined ? {} : { held }),
    ...(isResumed(canary.status, object, found.fields.get("/spec/paused"), journal) ? { isResumed: true } : {}),
  };
}

/** The template from before the run. Without a run, the template of the pods. */
export function stableTemplate(app: ModelObject, journal: readonly JournalEntry[]): unknown {
  const current = app.fields.get(templatePointer);
  const adopted = firstWrite(journal, app.reference, templatePointer);
  return adopted !== undefined && jsonEqualWithoutNulls(adopted.written, current) ? adopted.prior : app.running;
}

/** The hash by which the model tells pods of different templates apart. */
export function templateHash(template: unknown): string {
  const { metadata } = (template ?? {}) as { metadata?: { labels?: Readonly<Record<string, string>> } };
  const role = metadata?.labels?.[copyLabel];
  return role === undefined ? `of-${versionOf(template)}` : `of-${versionOf(template)}-${role}`;
}

function ruleOf(
  objects: AppObjects,
  app: SimApp,
  journal: readonly JournalEntry[],
): DeploymentInWorld["destinationRule"] {
  const { rule } = objectsOf(app);
  const found = objects.find(rule);
  if (found === undefined) return undefined;
  const written = setupWrite(journal, rule, subsetsPointer);
  const subsets = written === undefined ? found.fields.get(subsetsPointer) : written.prior;
  return { object: rule, subsets: (subsets ?? []) as readonly Tree[] };
}
