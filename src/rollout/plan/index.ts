// Plans the steps of a Canary or a MeshUpgrade from the cluster's state. Pure.
export { planCanary } from "./canary/canary-plan.ts";
export type { CanaryWorld, DeploymentInWorld, MissingGrant, RouteInWorld } from "./canary/canary-world.ts";
export { copiesOf, copyLabel, copyName } from "./canary/deployment-copies.ts";
export { rollingStep } from "./canary/deployment-target.ts";
export { holding } from "./canary/deployment-writes.ts";
export { carriesHttp, carriesTls, protocolOf } from "./canary/made-route.ts";
export { clusterSuffix, destinationOf, resolveHost } from "./canary/pairings.ts";
export { meantIdentity, ownRecord } from "./canary/meant-rule.ts";
export {
  hostInMesh,
  movedDestinations,
  type GainingDestination,
  type RouteDestination,
} from "./canary/route-destinations.ts";
export { ruleNames } from "./canary/rule-names.ts";
export {
  backendsField,
  grantName,
  grantsService,
  meantRule,
  movedRoutes,
  ruleIndex,
  type MovedRoute,
  type TargetedCanary,
} from "./canary/route-target.ts";
export { isTargetCode, targetError } from "./canary/target-error.ts";
export type { Subject } from "./canary/target-plan.ts";
export { howToMove, howToRestartHeld, leftBehind, type Dependent, type RestartObstacle } from "./mesh/left-behind.ts";
export { planMeshUpgrade } from "./mesh/mesh-upgrade-plan.ts";
export type {
  ClassicGatewayInWorld,
  EnrolledPod,
  GatewayInWorld,
  LostProbes,
  MeshWorld,
  ScaledDeployment,
  TagInWorld,
  NamespaceInjection,
  NamespaceInWorld,
  WorkloadInWorld,
} from "./mesh/mesh-world.ts";
export { movedGateway, type ControlPlanes } from "./mesh/moved-gateway.ts";
export { restartGaps } from "./mesh/restart-gaps.ts";
export { retireStepId, usualNamespace } from "./mesh/retire-steps.ts";
export { nextRootName } from "./mesh/root-steps.ts";
export { injectionLabel, restartedForAnnotation, restartMark, revisionLabel, tagLabel } from "./mesh/sidecar-steps.ts";
export { webhooksLedTo, type WebhookClient } from "./mesh/tag-steps.ts";
export { probeObjects, probePods, probeSettle } from "./probe-objects.ts";
export {
  plainClientName,
  probePacePort,
  probePairs,
  probePlanesAnnotation,
  type PlannedProbePair,
  type ProbeScope,
} from "./probe-pairs.ts";
export { probeNamespace } from "../decide/index.ts";
export { annotationPointer, labelPointer, reference, referenceTo } from "./references.ts";
