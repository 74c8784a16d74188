export type { Headers } from "./headers.ts";
