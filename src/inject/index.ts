// Injection: changes a pod so that a proxy runs beside its application. The functions are pure.
export { underOtherSource } from "./merge-pod.ts";
export { injectionDecision } from "./decision.ts";
export { injectPod, type InjectionContext, type InjectionOutcome } from "./inject-pod.ts";
export { readInjectionSettings, type InjectionDefaults, type InjectionSettings } from "./injection-settings.ts";
export type { JsonPatchOperation } from "./json-patch.ts";
export { imageTagOfType } from "./proxy-container.ts";
export { proxyConfigLayers } from "./proxy-config-layers.ts";
export { everyKubeletRunsSidecars } from "./native-sidecars.ts";
export { readMeshForInjection, type MeshForInjection } from "./mesh.ts";
export { podFaults } from "./pod-faults.ts";
