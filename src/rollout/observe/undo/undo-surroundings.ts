import type { Clock } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { Deployment } from "../../../api/kubernetes/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { ListChange, UndoPass, UndoSurroundings } from "../../act/undo-context.ts";
import { partGivenBack } from "../../act/undo-order.ts";
import { referenceKey, type SettleState } from "../../decide/index.ts";
import { nextRootName, reference } from "../../plan/index.ts";
import { observeAcknowledged, observeForgotten } from "../acknowledgements.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { EventAges } from "../event-ages.ts";
import { heldByInjector } from "../injectors.ts";
import { isMadeBy } from "../operator-objects.ts";
import { notBroughtAbout, notInstalledText } from "./operator-progress.ts";
import { controlPlaneDeployments, isZtunnel } from "../pilot-answers.ts";
import { withPodReason } from "../pod-reason.ts";
import { readyState } from "../ready-state.ts";
import { missingOf, missingPods } from "./replaced-pods.ts";
import { losesPods, notServedYet } from "../settle/destinations-serve.ts";
import { reachableState } from "../settle/endpoints-state.ts";
import { rootsSettledState } from "../settle/root-conditions.ts";
import { stillServes } from "./still-needed.ts";
import { namespacesOf } from "../trusted-reporters.ts";
import { heldByGateway } from "./undo-gateways.ts";

export interface UndoSources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly ages: EventAges;
}

/** The conditions for which undo waits, read from the cluster. */
export function undoSurroundings(
  { client, objects, view, clock, ages }: UndoSources,
  { entries, passOver }: UndoPass,
): UndoSurroundings {
  const asking = { concerned: namespacesOf(entries), withoutOthers: passOver };
  const ageMs = (key: string, atMs: number): number => ages.ageMs(key, atMs, Number.POSITIVE_INFINITY);
  return {
    nowMs: clock.nowMs(),
    heldBack: async (entry, current, found) =>
      (await heldByGateway({ objects, view, passOver }, entry, current, found)) ??
      (await heldByInjector({ objects, view }, entry, current)) ??
      (await heldByRoots(view, entry)),
    stillServes: async (entry) => {
      const detail =
        (await heldByRoots(view, entry)) ?? (await stillServes({ objects, view, nowMs: clock.nowMs() }, entry));
      return typeof detail === "string" ? { detail } : detail;
    },
    notReplaced: async (object, restartedAt, lacked = 0) => {
      const found = await objects.get(object);
      return missingPods({ view, nowMs: clock.nowMs() }, { object, found, restartedAt, lacked });
    },
    notReady: async (object, lacked = 0) => {
      const found = await objects.get(object);
      return missingOf(view, { object, found }, { lacked });
    },
    notInstalled: async (entry) => await notInstalledAgain({ objects, view, ages }, entry),
    notReached: async (object, isScaled, lacked = 0) => {
      const found = await objects.get(object);
      const notReady = missingOf(view, { object, found }, { ofAnyTemplate: isScaled, lacked });
      if (notReady !== undefined) return notReady;
      const detail = reasonOf(await reachableState({ client, view, ageMs, ...asking }, found, lacked));
      return detail === undefined ? undefined : { detail };
    },
    notAcknowledged: async (object) =>
      reasonOf(
        await observeAcknowledged(view, {
          reference: object,
          object: await objects.get(object),
          ageMs,
          ...asking,
        }),
      ),
    notServedYet: async (route, change) =>
      isOfDeployment(route)
        ? passOver
          ? undefined
          : await withoutReplicas({ client, objects, view }, route, change)
        : await notServedYet({ client, view, ageMs, ...asking, withoutProxies: passOver }, change),
    notForgotten: async (object, isNow) => {
      const deletion = `deletion of ${referenceKey(object)}`;
      ages.notice(deletion, !isNow);
      return reasonOf(await observeForgotten(view, { reference: object, ...asking }, ageMs(deletion, 0)));
    },
  };
}

/**
 * Whether a Canary of a Deployment has made the route. For such a route the undo checks for pods only while the
 * Deployment has 0 replicas, because otherwise it starts the Deployment's pods itself.
 */
function isOfDeployment(route: UntypedObject): boolean {
  return deploymentOf(route) !== undefined;
}

function deploymentOf({ metadata: { ownerReferences = [] } }: UntypedObject): string | undefined {
  return ownerReferences.find(({ kind }) => kind === "Deployment")?.name;
}

/**
 * Why a route must not return requests to its Deployment yet: somebody has scaled the Deployment to 0, and the pods
 * that get the requests now serve.
 */
async function withoutReplicas(
  { client, objects, view }: Pick<UndoSources, "client" | "objects" | "view">,
  route: UntypedObject,
  change: ListChange,
): Promise<string | undefined> {
  const { namespace = "" } = route.metadata;
  const name = deploymentOf(route) ?? "";
  const found = await objects.get(reference("apps/v1", "Deployment", name, namespace));
  const { replicas } = (found?.["spec"] ?? {}) as NonNullable<Deployment["spec"]>;
  if (replicas !== 0 || !(await losesPods({ client, view }, change))) return undefined;
  return `Deployment ${namespace}/${name} was scaled to 0 replicas, and would get all requests; scale it up, and the undo continues`;
}

function reasonOf(state: SettleState): string | undefined {
  return state.state === "met" ? undefined : state.detail;
}

/** Why an operator has not yet installed the parts that the entry's restored object describes. */
async function notInstalledAgain(
  { objects, view, ages }: { readonly objects: ObjectAccess; readonly view: ClusterView; readonly ages: EventAges },
  entry: JournalEntry,
): Promise<string | undefined> {
  const operator = await objects.get(entry.object);
  const part = partGivenBack(entry) ?? "pilot";
  const missing = notBroughtAbout(entry.object, operator, part, ages);
  if (missing !== undefined) return missing;
  const [kind, installed] =
    part === "ztunnel"
      ? (["DaemonSet", view.daemonSets.list().filter((daemonSet) => isZtunnel(view, daemonSet))] as const)
      : (["Deployment", controlPlaneDeployments(view)] as const);
  const own = installed.filter((workload) => isMadeBy(workload, entry.object, operator));
  if (own.length === 0) return notInstalledText(part);
  for (const workload of own) {
    const found = workload as unknown as UntypedObject;
    const { name = "", namespace } = workload.metadata;
    const object = reference("apps/v1", kind, name, namespace);
    const reason = reasonOf(withPodReason(readyState(found, object), found, view));
    if (reason !== undefined) return reason;
  }
  return undefined;
}

/** Why a stage of the root rotation cannot be reverted yet: some data planes have not followed the current stage. */
async function heldByRoots(view: ClusterView, { object }: JournalEntry): Promise<string | undefined> {
  return object.kind === "Secret" && object.name === nextRootName ? reasonOf(await rootsSettledState(view)) : undefined;
}
