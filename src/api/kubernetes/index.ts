export * from "./apps.ts";
export * from "./batch.ts";
export * from "./core.ts";
export * from "./others.ts";
export * from "./rbac.ts";
