// The controllers of the lab, a folder for each subject.
import type { KubeClient } from "../../kube/index.ts";
import { addAutoscalerController, type AutoscalerOptions } from "./autoscaling/autoscaler.ts";
import { addCertificateRequestController, type ReadSigningAuthority } from "./accounts/certificate-requests.ts";
import { addClusterRoleAggregation } from "./accounts/cluster-role-aggregation.ts";
import type { ControllerContext } from "./controller.ts";
import { addCronJobController } from "./jobs/cron-job.ts";
import { addDaemonSetController } from "./workloads/daemon-set.ts";
import { addDeploymentController } from "./workloads/deployment.ts";
import { addDisruptionBudgetController } from "./workloads/disruption-budget.ts";
import { addEndpointMirror } from "./services/endpoint-mirror.ts";
import { addEndpointSliceController } from "./services/endpoint-slice.ts";
import { addGarbageCollector } from "./lifecycle/garbage-collector.ts";
import { addJobController } from "./jobs/job.ts";
import { addLoadBalancerController } from "./services/load-balancer.ts";
import { addMetalLbInstallation } from "./services/metallb-installation.ts";
import { addNamespaceController } from "./lifecycle/namespace.ts";
import { addNodeLifecycleController } from "./lifecycle/node-lifecycle.ts";
import { addPodGarbageController } from "./lifecycle/pod-garbage.ts";
import { addReplicaSetController } from "./workloads/replica-set.ts";
import { addNamespaceContentControllers } from "./accounts/service-account.ts";
import { addStatefulSetController } from "./workloads/stateful-set.ts";
import { addTokenSecretController } from "./accounts/token-secret.ts";
import { addVolumeBinding } from "./volumes/volume-binding.ts";
import { addVolumeProtection } from "./volumes/volume-protection.ts";

export { addBootstrap, definitionFiles } from "./bootstrap.ts";
export { ControllerContext } from "./controller.ts";

export interface ControllersOptions {
  /** The root certificate in PEM, for `kube-root-ca.crt`. */
  readonly rootCa: string;
  /** A client that requests only metadata, for the garbage collector. */
  readonly metadataClient: KubeClient;
  readonly autoscalers: AutoscalerOptions;
  /** Resolves when the cluster's initial objects exist. Controllers whose work can wait start after that. */
  readonly bootstrapped?: Promise<void> | undefined;
  /** The authority that signs CertificateSigningRequests. Without it, approved requests get no certificate. */
  readonly signing?: ReadSigningAuthority | undefined;
}

/** Adds all controllers of the cluster to the context. `context.run` runs them. */
export function addControllers(context: ControllerContext, options: ControllersOptions): void {
  const { rootCa, metadataClient, autoscalers, bootstrapped, signing } = options;
  addNamespaceContentControllers(context, rootCa);
  const lookAtNamespace = addNamespaceController(context);
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
  addEndpointMirror(context);
  addLoadBalancerController(context);
  addMetalLbInstallation(context);
  addTokenSecretController(context, rootCa);
  addDisruptionBudgetController(context);
  addAutoscalerController(context, autoscalers);
  addCertificateRequestController(context, signing);
  addClusterRoleAggregation(context);
  addPodGarbageController(context);
  addGarbageCollector(context, metadataClient, { after: bootstrapped, ended: lookAtNamespace });
}
