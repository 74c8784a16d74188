import { jsonEqual } from "../../base/index.ts";
import { deploymentKind, horizontalPodAutoscalerKind, statefulSetKind } from "../../api/kubernetes/index.ts";
import { isKubeCode } from "../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "./controller.ts";

/** The lab has no metrics API, so an autoscaler only keeps the replicas within its bounds. Its status says why. */
export function addAutoscalerController(context: ControllerContext): void {
  const autoscalers = context.view(horizontalPodAutoscalerKind);
  const queue = context.queue("autoscaler", async (key) => {
    const autoscaler = autoscalers.at(key);
    if (autoscaler?.spec === undefined) return;
    const { name = "", namespace } = autoscaler.metadata;
    const { kind, name: targetName } = autoscaler.spec.scaleTargetRef;
    const target =
      kind === "StatefulSet"
        ? context.view(statefulSetKind).get(namespace, targetName)
        : context.view(deploymentKind).get(namespace, targetName);
    const replicas = target?.status?.replicas ?? 0;
    const wanted = target?.spec?.replicas ?? 1;
    const bounded = Math.min(Math.max(wanted, autoscaler.spec.minReplicas ?? 1), autoscaler.spec.maxReplicas);
    // An autoscaler is disabled while its target has zero replicas.
    if (target !== undefined && wanted > 0 && bounded !== wanted) {
      const body = { spec: { replicas: bounded } };
      if (kind === "StatefulSet") await context.client.patchMerge(statefulSetKind, targetName, namespace, body);
      else await context.client.patchMerge(deploymentKind, targetName, namespace, body);
    }
    const condition = (
      type: string,
      status: string,
      reason: string,
      message: string,
    ): Record<string, string> & { type: string; status: string } => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime:
        autoscaler.status?.conditions?.find((before) => before.type === type && before.status === status)
          ?.lastTransitionTime ?? context.now(),
    });
    const status = {
      observedGeneration: autoscaler.metadata.generation ?? 0,
      currentReplicas: replicas,
      desiredReplicas: target === undefined || wanted === 0 ? replicas : bounded,
      conditions: [
        target === undefined
          ? condition("AbleToScale", "False", "FailedGetScale", `the scale target ${kind} ${targetName} was not found`)
          : condition("AbleToScale", "True", "SucceededGetScale", "the scale target was found"),
        condition(
          "ScalingActive",
          "False",
          "FailedGetResourceMetric",
          "this cluster serves no metrics API (metrics.k8s.io), so replicas stay as they are",
        ),
      ],
    };
    if (jsonEqual(autoscaler.status, { ...autoscaler.status, ...status })) return;
    try {
      await context.client.patchMerge(
        horizontalPodAutoscalerKind,
        name,
        namespace,
        { status },
        { subresource: "status" },
      );
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  });
  enqueueOn(autoscalers, queue);
}
