export * from "./apps.ts";
export * from "./core.ts";
export * from "./others.ts";
