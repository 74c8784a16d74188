import { Memos } from "../../kube/memo/index.ts";

/** What the control plane's pure functions have computed. The mesh's graph shows the sizes. */
export const memos = new Memos();
