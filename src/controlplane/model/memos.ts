import { Memos } from "../../kube/memo/index.ts";

/**
 * Caches the results of the control plane's pure functions. The graph of the mesh's derived collections reports their
 * sizes.
 */
export const memos = new Memos();
