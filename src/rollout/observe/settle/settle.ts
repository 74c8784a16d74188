import { messageOf, type Clock } from "../../../base/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import type { AgeOfEvent, NoticeEvent } from "../event-ages.ts";
import { observeAcknowledged } from "../acknowledgements.ts";
import { observeNotRejected } from "../rejections.ts";
import { observeRootsCompatible } from "../probes/probe-roots.ts";
import { tagServesState, validatorServesState } from "./admission-conditions.ts";
import {
  dependentState,
  leftToEndState,
  ownerState,
  podState,
  podsGoneState,
  readyPodsState,
  versionServesState,
} from "./pod-conditions.ts";
import { endpointsState } from "./endpoints-state.ts";
import { withKubeletReason } from "../pod-reason.ts";
import { cniState } from "./cni-state.ts";
import { readyState } from "../ready-state.ts";
import { revisionFreeState, revisionServesState } from "./revision-conditions.ts";
import { rootAloneState, rootInUseState, rootTrustedState } from "./root-conditions.ts";
import { workloadState } from "./workload-state.ts";

export interface SettleSources {
  readonly client: KubeClient;
  readonly objects: ObjectAccess;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly ageMs: AgeOfEvent;
  readonly notice: NoticeEvent;
  /**
   * The namespaces that the rollout has changed, or is changing. Only their proxies decide whether a condition is met.
   */
  readonly concerned: readonly string[];
}

/** Evaluates one condition of a step. A condition that cannot be evaluated is `waiting`. */
export async function observeSettle(sources: SettleSources, condition: SettleCondition): Promise<SettleState> {
  try {
    return await stateOf(sources, condition);
  } catch (error) {
    return { state: "waiting", detail: messageOf(error) };
  }
}

async function stateOf(
  { client, objects, view, clock, ageMs, notice, concerned }: SettleSources,
  condition: SettleCondition,
): Promise<SettleState> {
  switch (condition.type) {
    case "acknowledged": {
      const object = await objects.get(condition.object);
      return await observeAcknowledged(view, { reference: condition.object, object, ageMs, concerned });
    }
    case "ready": {
      const object = await objects.get(condition.object);
      return await withKubeletReason(
        readyState(
          object,
          condition.object,
          condition.replicas === undefined ? {} : { minReplicas: condition.replicas },
        ),
        object,
        { view, client },
      );
    }
    case "endpoints":
      return await endpointsState({ client, view, ageMs, concerned }, condition);
    case "owner":
      return ownerState(view, condition.object, condition.revision);
    case "podReady":
      return podState(view, condition.object, ageMs);
    case "podsGone":
      return await podsGoneState(view, condition, clock.nowMs());
    case "notRejected":
      return await observeNotRejected(view, condition.revision, concerned);
    case "noDependents":
      return await dependentState(client, view, condition);
    case "leftToEnd":
      return leftToEndState(view, condition.namespace, condition.revision);
    case "readyPods":
      return readyPodsState(view, condition);
    case "versionServes":
      return await versionServesState(view, condition);
    case "tagServes":
      return await tagServesState({ client, view }, condition);
    case "validatorServes":
      return await validatorServesState(client, condition.revision);
    case "workloadRevision":
      return await workloadState(view, condition, ageMs, notice);
    case "rootsCompatible":
      return await observeRootsCompatible(client, view, condition, clock.nowMs());
    case "rootTrusted":
      return await rootTrustedState(view, condition.fingerprint);
    case "rootInUse":
      return await rootInUseState(view, condition.fingerprint);
    case "rootAlone":
      return await rootAloneState(view, condition.fingerprint);
    case "cniOfNode":
      return await cniState(view, condition);
    case "revisionServes":
      return revisionServesState(view, condition);
    case "revisionFree":
      return revisionFreeState(view, condition.revision);
    case "gone":
      return goneState(await objects.get(condition.object), condition.object);
  }
}

function goneState(found: unknown, { kind, name }: ObjectReference): SettleState {
  return found === undefined ? { state: "met" } : { state: "waiting", detail: `${kind} ${name} is still there` };
}
