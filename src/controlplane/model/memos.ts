import { Memos } from "../../kube/memo/index.ts";

/** Caches the results of the control plane's pure functions. The mesh's graph shows the sizes. */
export const memos = new Memos();
