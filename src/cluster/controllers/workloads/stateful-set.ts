import {
  podKind,
  statefulSetKind,
  type Pod,
  type PodTemplate,
  type StatefulSet,
} from "../../../api/kubernetes/index.ts";
import { hashOf, RevisionHistory, revisionHashLabel, type Revisions } from "./controller-revisions.ts";
import { enqueueControllerOn, enqueueOn, writeStatus, type ControllerContext } from "../controller.ts";
import { PodControl } from "../pods/pod-control.ts";
import { availableAtMs, isReady, isTerminating } from "../pods/pod-facts.ts";
import { podFrom } from "../pods/pod-template.ts";
import { ClaimControl } from "./stateful-set-claim-control.ts";
import { volumesFor } from "./stateful-set-claims.ts";
import { isMember, planStatefulSet } from "./stateful-set-plan.ts";

export function addStatefulSetController(context: ControllerContext): void {
  const sets = context.view(statefulSetKind);
  const control = new PodControl({
    context,
    ownerKind: statefulSetKind,
    component: "statefulset-controller",
    wording: (verb, pod, owner, failure) => {
      const action = `${verb} Pod ${pod.metadata.name ?? ""} in StatefulSet ${owner.metadata.name ?? ""}`;
      return failure === undefined ? `${action} successful` : `${action} failed error: ${failure}`;
    },
  });
  const claims = new ClaimControl(context);
  const history = new RevisionHistory(context, statefulSetKind);

  const queue = context.queue("statefulset", async (key) => {
    const set = sets.at(key);
    if (set?.spec === undefined || isTerminating(set)) return undefined;
    const revisions = await history.sync(set, set.spec.template);
    const updateHash = hashOf(revisions.current);
    const currentHash = hashOfName(set, revisions) ?? updateHash;
    const pods = await control.claim(set, set.spec.selector, (pod) => isMember(set, pod));
    const nowMs = context.clock.nowMs();
    const plan = planStatefulSet(set, { current: currentHash, update: updateHash }, pods, nowMs);
    let failure: unknown;
    try {
      await claims.own(set, pods);
      for (const { ordinal } of plan.create) await claims.ensure(set, ordinal);
      await control.createAll(
        set,
        plan.create.map(({ ordinal, hash }) => newPod(set, ordinal, hash, templateOf(set, revisions, hash))),
      );
      await control.deleteAll(set, plan.remove);
    } catch (error) {
      failure = error;
    }
    await writeStatus(context, statefulSetKind, set, plan.status);
    await history.trim(revisions, new Set([...pods.map(hashOf), currentHash]), set.spec.revisionHistoryLimit ?? 10);
    if (failure !== undefined) throw failure;
    const waits = pods.filter(isReady).map((pod) => availableAtMs(pod, set.spec?.minReadySeconds ?? 0) - nowMs);
    const soon = Math.min(...waits.filter((ms) => ms > 0));
    return Number.isFinite(soon) ? soon : undefined;
  });

  enqueueOn(sets, queue);
  enqueueControllerOn(context.view(podKind), statefulSetKind, queue);
}

/**
 * Returns the hash of the revision that `status.currentRevision` names, or undefined if that revision no longer exists.
 */
function hashOfName(set: StatefulSet, revisions: Revisions): string | undefined {
  const found = revisions.all.find((revision) => revision.metadata.name === set.status?.currentRevision);
  return found === undefined ? undefined : hashOf(found);
}

/** The template with this hash. During an update, pods below the partition use the former template. */
function templateOf(set: StatefulSet, revisions: Revisions, hash: string): PodTemplate {
  const revision = revisions.all.find((candidate) => hashOf(candidate) === hash);
  const data = revision?.data as { spec?: { template?: PodTemplate & { $patch?: string } } } | undefined;
  const { $patch: _patch, ...template } = data?.spec?.template ?? {};
  return revision === undefined ? (set.spec?.template ?? {}) : template;
}

function newPod(set: StatefulSet, ordinal: number, hash: string, template: PodTemplate): Pod {
  const { name: setName = "", namespace = "" } = set.metadata;
  const name = `${setName}-${ordinal}`;
  const labels = {
    [revisionHashLabel]: hash,
    "statefulset.kubernetes.io/pod-name": name,
    "apps.kubernetes.io/pod-index": String(ordinal),
  };
  const pod = podFrom({ template, namespace, name, ownerKind: statefulSetKind, owner: set, labels });
  const subdomain = set.spec?.serviceName;
  return {
    ...pod,
    spec: {
      ...(pod.spec ?? { containers: [] }),
      hostname: name,
      ...(subdomain === undefined || subdomain === "" ? {} : { subdomain }),
      ...((set.spec?.volumeClaimTemplates ?? []).length === 0
        ? {}
        : { volumes: volumesFor(set, ordinal, pod.spec?.volumes ?? []) }),
    },
  };
}
