import { istioLabels } from "../../api/istio/index.ts";
import { horizontalPodAutoscalerKind } from "../../api/kubernetes/index.ts";
import { messageOf } from "../../base/index.ts";
import { isKubeCode, itemsIfServed, type KubeClient } from "../../kube/index.ts";
import { unseen, warning, type ClusterFinding } from "./cluster-finding.ts";

const subject = "autoscaling";
/** The message in an autoscaler's condition if no server provides the metrics of pods. */
const withoutServer = /unable to fetch metrics from resource metrics API/;

export async function autoscalerFindings(client: KubeClient): Promise<ClusterFinding[]> {
  try {
    const items = await itemsIfServed(
      client.list(horizontalPodAutoscalerKind, { labelSelector: istioLabels.component }),
    );
    return items.flatMap(({ metadata: { namespace = "", name = "" }, status }) => {
      const active = status?.conditions?.find(({ type }) => type === "ScalingActive");
      if (active?.status !== "False" || !withoutServer.test(active.message ?? "")) return [];
      return [
        warning(
          subject,
          `HorizontalPodAutoscaler ${namespace}/${name}`,
          "cannot scale, because nobody serves the metrics of pods: the workload keeps its number of pods under any load",
          "install a metrics server (https://github.com/kubernetes-sigs/metrics-server), or set enough pods: values.pilot.autoscaleMin for istiod",
        ),
      ];
    });
  } catch (error) {
    if (isKubeCode(error, "forbidden"))
      return [unseen(subject, "horizontalpodautoscalers.autoscaling", messageOf(error))];
    throw error;
  }
}
