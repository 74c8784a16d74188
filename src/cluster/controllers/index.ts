import type { KubeClient } from "../../kube/index.ts";
import { addAutoscalerController, type AutoscalerOptions } from "./autoscaler.ts";
import { addCertificateRequestController, type ReadSigningAuthority } from "./certificate-requests.ts";
import { addClusterRoleAggregation } from "./cluster-role-aggregation.ts";
import type { ControllerContext } from "./controller.ts";
import { addCronJobController } from "./cron-job.ts";
import { addDaemonSetController } from "./daemon-set.ts";
import { addDeploymentController } from "./deployment.ts";
import { addDisruptionBudgetController } from "./disruption-budget.ts";
import { addEndpointSliceController } from "./endpoint-slice.ts";
import { addGarbageCollector } from "./garbage-collector.ts";
import { addJobController } from "./job.ts";
import { addLoadBalancerController } from "./load-balancer.ts";
import { addMetalLbInstallation } from "./metallb-installation.ts";
import { addNamespaceController } from "./namespace.ts";
import { addNodeLifecycleController } from "./node-lifecycle.ts";
import { addPodGarbageController } from "./pod-garbage.ts";
import { addReplicaSetController } from "./replica-set.ts";
import { addNamespaceContentControllers } from "./service-account.ts";
import { addStatefulSetController } from "./stateful-set.ts";
import { addTokenSecretController } from "./token-secret.ts";
import { addVolumeBinding } from "./volume-binding.ts";
import { addVolumeProtection } from "./volume-protection.ts";

export { addBootstrap, definitionFiles, type BootstrapOptions } from "./bootstrap.ts";
export { ControllerContext, type ControllerDependencies } from "./controller.ts";

export interface ControllersOptions {
  /** The root certificate in PEM, for `kube-root-ca.crt`. */
  readonly rootCa: string;
  /** A client that requests only metadata, for the garbage collector. */
  readonly metadataClient: KubeClient;
  readonly autoscalers: AutoscalerOptions;
  /** The authority that signs CertificateSigningRequests. Without it, they stay approved. */
  readonly signing?: ReadSigningAuthority | undefined;
}

/** Adds all controllers of the cluster to the context. `context.run` runs them. */
export function addControllers(context: ControllerContext, options: ControllersOptions): void {
  const { rootCa, metadataClient, autoscalers, signing } = options;
  addNamespaceContentControllers(context, rootCa);
  addNamespaceController(context);
  addNodeLifecycleController(context);
  addDeploymentController(context);
  addReplicaSetController(context);
  addDaemonSetController(context);
  addStatefulSetController(context);
  addVolumeBinding(context);
  addVolumeProtection(context);
  addJobController(context);
  addCronJobController(context);
  addEndpointSliceController(context);
  addLoadBalancerController(context);
  addMetalLbInstallation(context);
  addTokenSecretController(context, rootCa);
  addDisruptionBudgetController(context);
  addAutoscalerController(context, autoscalers);
  addCertificateRequestController(context, signing);
  addClusterRoleAggregation(context);
  addPodGarbageController(context);
  addGarbageCollector(context, metadataClient);
}
