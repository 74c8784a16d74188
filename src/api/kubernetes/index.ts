// Kubernetes' kinds, as far as Serin uses them.
export * from "./apps.ts";
export * from "./batch.ts";
export * from "./core.ts";
export * from "./others.ts";
export * from "./rbac.ts";
